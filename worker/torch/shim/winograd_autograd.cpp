// The functions of winograd.h as a step of autograd, behind the C interface.
#include <ATen/ATen.h>
#include <ATen/autocast_mode.h>
#include <torch/csrc/autograd/custom_function.h>

#include "guarded.h"
#include "layout.h"
#include "shim.h"
#include "winograd.h"

namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

struct Convolution : torch::autograd::Function<Convolution> {
  static Tensor forward(AutogradContext* context, const Tensor& x, const Tensor& weight) {
    context->save_for_backward({x, weight});
    return convoy::winograd(x, weight);
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    const Tensor gradient = convoy::arriving(gradients[0]);
    return {context->needs_input_grad(0) ? convoy::winograd_input_gradient(gradient, saved[1]) : Tensor(),
            context->needs_input_grad(1) ? convoy::winograd_weight_gradient(gradient, saved[0], saved[1]) : Tensor()};
  }
};

}  // namespace

extern "C" char* convoy_convolve_3x3(at::Tensor* x, at::Tensor* weight, at::Tensor** out) {
  return convoy::guarded([&] {
    *out = nullptr;
    if (at::autocast::is_autocast_enabled(at::kCPU) || !convoy::is_winograd(*x, *weight)) return;
    *out = new Tensor(Convolution::apply(*x, *weight));
  });
}
