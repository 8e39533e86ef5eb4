#include "shim.h"

#include <ATen/ATen.h>
#include <ATen/Version.h>
#include <ATen/autocast_mode.h>
#include <ATen/ops/_fused_sgd.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/function_hook.h>
#include <torch/csrc/autograd/variable.h>

#include <cstdlib>
#include <cstring>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace {

char* copy_message(const std::string& text) {
  char* message = static_cast<char*>(std::malloc(text.size() + 1));
  if (message != nullptr) std::memcpy(message, text.c_str(), text.size() + 1);
  return message;
}

// No exception may cross into Rust.
template <typename Body>
char* guarded(Body&& body) {
  try {
    body();
    return nullptr;
  } catch (const c10::Error& error) {
    return copy_message(error.what_without_backtrace());
  } catch (const std::exception& error) {
    return copy_message(error.what());
  } catch (...) {
    return copy_message("an exception that is no std::exception");
  }
}

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

extern "C" {

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

char* convoy_fused_sgd(at::Tensor* parameters, at::Tensor* gradients, at::Tensor* velocity, double weight_decay, double momentum,
                       double learning_rate, bool nesterov) {
  return guarded([&] {
    at::NoGradGuard no_grad;
    at::Tensor owned[] = {*parameters, *gradients};
    std::vector<at::Tensor> velocities;
    if (velocity != nullptr) velocities.push_back(*velocity);
    at::_fused_sgd_(at::TensorList(&owned[0], 1), at::TensorList(&owned[1], 1), velocities, weight_decay, momentum, learning_rate,
                    /*dampening=*/0.0, nesterov, /*maximize=*/false, /*is_first_step=*/false, std::nullopt, std::nullopt);
  });
}

}  // extern "C"
