#include "shim.h"

#include "guarded.h"

#include <ATen/ATen.h>
#include <ATen/Version.h>
#include <ATen/autocast_mode.h>
#include <ATen/ops/_fused_adamw.h>
#include <ATen/ops/_fused_sgd.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/function_hook.h>
#include <torch/csrc/autograd/variable.h>

#include <memory>
#include <optional>
#include <utility>
#include <vector>

using convoy::copy_message;
using convoy::guarded;

namespace {

struct CallHook final : torch::autograd::FunctionPostHook {
  CallHook(convoy_hook_fn call, void* context, size_t parameter) : call(call), context(context), parameter(parameter) {}

  torch::autograd::variable_list operator()(const torch::autograd::variable_list& outputs,
                                            const torch::autograd::variable_list& /* inputs */) override {
    call(context, parameter);
    return outputs;
  }

  convoy_hook_fn call;
  void* context;
  size_t parameter;
};

}  // namespace

struct convoy_hook {
  // A tensor holds its accumulator weakly: without this owner the hook would vanish with the first graph.
  std::shared_ptr<torch::autograd::Node> accumulator;
  uintptr_t key;
};

// The lists that libtorch's fused updates take, made once.
struct convoy_update {
  std::vector<at::Tensor> parameters, gradients, first, second, counts;
  at::Tensor divisor;
  // What every entry of `counts` is.
  at::Tensor count;

  std::optional<at::Tensor> scale(double gradient_divisor) {
    if (gradient_divisor == 1.0) return std::nullopt;
    divisor.fill_(gradient_divisor);
    return divisor;
  }
};

extern "C" {

// What jemalloc reads before main (jemalloc(3), "TUNING"): it keeps freed pages, also those of large blocks.
extern const char* malloc_conf;
const char* malloc_conf = "dirty_decay_ms:-1,muzzy_decay_ms:-1,oversize_threshold:0";

void convoy_free_message(char* message) { std::free(message); }

char* convoy_build_settings() {
  try {
    return copy_message(at::show_config());
  } catch (...) {
    return nullptr;
  }
}

char* convoy_hook_add(at::Tensor* tensor, convoy_hook_fn call, void* context, size_t parameter, convoy_hook** out) {
  return guarded([&] {
    auto accumulator = torch::autograd::impl::grad_accumulator(*tensor);
    TORCH_CHECK(accumulator != nullptr, "parameter ", parameter, " takes no gradient");
    uintptr_t key = accumulator->add_post_hook(std::make_unique<CallHook>(call, context, parameter));
    *out = new convoy_hook{std::move(accumulator), key};
  });
}

void convoy_hook_remove(convoy_hook* hook) {
  if (hook == nullptr) return;
  hook->accumulator->del_post_hook(hook->key);
  delete hook;
}

char* convoy_set_gradient(at::Tensor* tensor, at::Tensor* gradient) {
  return guarded([&] { tensor->mutable_grad() = *gradient; });
}

char* convoy_autocast_cpu(bool enabled) {
  return guarded([&] {
    at::autocast::set_autocast_dtype(at::kCPU, at::kBFloat16);
    at::autocast::set_autocast_enabled(at::kCPU, enabled);
    at::autocast::set_autocast_cache_enabled(true);
  });
}

char* convoy_autocast_forget() {
  return guarded([&] { at::autocast::clear_cache(); });
}

char* convoy_update_new(at::Tensor* const* parameters, at::Tensor* const* gradients, at::Tensor* const* first,
                        at::Tensor* const* second, size_t runs, convoy_update** out) {
  return guarded([&] {
    TORCH_CHECK(runs > 0, "an update of nothing");
    auto update = std::make_unique<convoy_update>();
    const auto scalar = parameters[0]->options().dtype(at::kFloat);
    update->divisor = at::ones({}, scalar);
    update->count = at::zeros({}, scalar);
    for (size_t run = 0; run < runs; ++run) {
      update->parameters.push_back(*parameters[run]);
      update->gradients.push_back(*gradients[run]);
      if (first != nullptr) update->first.push_back(*first[run]);
      if (second != nullptr) update->second.push_back(*second[run]);
      update->counts.push_back(update->count);
    }
    *out = update.release();
  });
}

void convoy_update_free(convoy_update* update) { delete update; }

char* convoy_update_sgd(convoy_update* update, double learning_rate, double momentum, bool nesterov, double weight_decay,
                        double gradient_divisor) {
  return guarded([&] {
    at::NoGradGuard no_grad;
    // A velocity starts as zeros, which makes its first update what PyTorch's first step is.
    at::_fused_sgd_(update->parameters, update->gradients, update->first, weight_decay, momentum, learning_rate,
                    /*dampening=*/0.0, nesterov, /*maximize=*/false, /*is_first_step=*/false, update->scale(gradient_divisor),
                    std::nullopt);
  });
}

char* convoy_update_adamw(convoy_update* update, double learning_rate, double beta1, double beta2, double eps,
                          double weight_decay, double count, double gradient_divisor) {
  return guarded([&] {
    at::NoGradGuard no_grad;
    update->count.fill_(count);
    at::_fused_adamw_(update->parameters, update->gradients, update->first, update->second, {}, update->counts, learning_rate,
                      beta1, beta2, weight_decay, eps, /*amsgrad=*/false, /*maximize=*/false,
                      update->scale(gradient_divisor), std::nullopt);
  });
}

}  // extern "C"
