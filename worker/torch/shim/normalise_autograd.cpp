// The functions of normalise.h as steps of autograd, behind the C interface.
#include <ATen/ATen.h>
#include <ATen/autocast_mode.h>
#include <torch/csrc/autograd/custom_function.h>

#include <optional>

#include "guarded.h"
#include "layout.h"
#include "normalise.h"
#include "shim.h"

namespace {

using at::Tensor;
using convoy::arriving;
using convoy::BatchNorm;
using convoy::NormGradients;
using convoy::Pooled;
using convoy::Statistics;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

struct NormRelu : torch::autograd::Function<NormRelu> {
  static Tensor forward(AutogradContext* context, const Tensor& x, const Tensor& weight, const Tensor& bias,
                        const std::optional<Tensor>& residual, const Tensor& running_mean, const Tensor& running_var, double momentum,
                        double epsilon) {
    const BatchNorm norm{weight, bias, running_mean, running_var, momentum, epsilon};
    const Statistics statistics = convoy::measure(x, norm);
    Tensor out = convoy::norm_relu(x, residual.value_or(Tensor()), norm, statistics);
    context->save_for_backward({x, weight, out, statistics.mean, statistics.inverse_deviation});
    context->saved_data["with_residual"] = residual.has_value();
    return out;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    NormGradients found =
        convoy::norm_relu_backward(arriving(gradients[0]), saved[2], saved[0], saved[1], Statistics{saved[3], saved[4]},
                                   context->saved_data["with_residual"].toBool());
    return {found.x, found.weight, found.bias, found.residual, {}, {}, {}, {}};
  }
};

struct NormPoolRelu : torch::autograd::Function<NormPoolRelu> {
  static Tensor forward(AutogradContext* context, const Tensor& x, const Tensor& weight, const Tensor& bias,
                        const Tensor& running_mean, const Tensor& running_var, double momentum, double epsilon) {
    const BatchNorm norm{weight, bias, running_mean, running_var, momentum, epsilon};
    const Statistics statistics = convoy::measure(x, norm);
    const Pooled pooled = convoy::norm_pool_relu(x, norm, statistics);
    context->save_for_backward(
        {x, weight, pooled.out, pooled.picks, pooled.picked, statistics.mean, statistics.inverse_deviation});
    return pooled.out;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    NormGradients found = convoy::norm_pool_relu_backward(arriving(gradients[0]), Pooled{saved[2], saved[3], saved[4]}, saved[0],
                                                          saved[1], Statistics{saved[5], saved[6]});
    return {found.x, found.weight, found.bias, {}, {}, {}, {}};
  }
};

// One value for each channel, where the kernels can read it.
bool is_per_channel(const Tensor& values, const Tensor& x) {
  return values.device().is_cpu() && values.scalar_type() == at::kFloat && values.is_contiguous() && values.dim() == 1 &&
         values.size(0) == x.size(1);
}

bool are_taken(const Tensor& x, const convoy_batch_norm& norm) {
  if (at::autocast::is_autocast_enabled(at::kCPU) || !convoy::is_channels_last(x)) return false;
  for (const Tensor* values : {norm.weight, norm.bias, norm.running_mean, norm.running_var}) {
    if (!is_per_channel(*values, x)) return false;
  }
  return true;
}

}  // namespace

extern "C" {

char* convoy_norm_relu(at::Tensor* x, convoy_batch_norm norm, at::Tensor* residual, at::Tensor** out) {
  return convoy::guarded([&] {
    *out = nullptr;
    if (!are_taken(*x, norm)) return;
    if (residual != nullptr && (!convoy::is_channels_last(*residual) || residual->sizes() != x->sizes())) return;
    const auto added = residual == nullptr ? std::nullopt : std::optional<Tensor>(*residual);
    *out = new Tensor(NormRelu::apply(*x, *norm.weight, *norm.bias, added, *norm.running_mean, *norm.running_var, norm.momentum,
                                      norm.epsilon));
  });
}

char* convoy_norm_pool_relu(at::Tensor* x, convoy_batch_norm norm, at::Tensor** out) {
  return convoy::guarded([&] {
    *out = nullptr;
    if (!are_taken(*x, norm) || x->size(2) < 2 || x->size(3) < 2) return;
    *out = new Tensor(NormPoolRelu::apply(*x, *norm.weight, *norm.bias, *norm.running_mean, *norm.running_var, norm.momentum,
                                          norm.epsilon));
  });
}

}  // extern "C"
