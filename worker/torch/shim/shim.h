// What tch lacks, as a C interface. Every function that can fail returns null on success, or a message
// that the caller frees with convoy_free_message. Tensors are `at::Tensor*`, as tch holds them.
#pragma once
#include <cstddef>
#include <cstdint>

namespace at { class Tensor; }

extern "C" {
typedef void (*convoy_hook_fn)(void* context, size_t parameter);
struct convoy_hook;

void convoy_free_message(char* message);

// The versions and build settings that the loaded libtorch states of itself.
char* convoy_build_settings();

// Calls `call(context, parameter)` each time a gradient was accumulated into `tensor.grad`, on the thread that runs backward.
char* convoy_hook_add(at::Tensor* tensor, convoy_hook_fn call, void* context, size_t parameter, convoy_hook** out);
void convoy_hook_remove(convoy_hook* hook);

// Makes `gradient` the `.grad` of `tensor`: backward then adds into its memory in place.
char* convoy_set_gradient(at::Tensor* tensor, at::Tensor* gradient);

// Switches bfloat16 autocast for CPU operations of the calling thread; what was cast is kept until convoy_autocast_forget.
char* convoy_autocast_cpu(bool enabled);
char* convoy_autocast_forget();

// One fused SGD update of `parameters` from `gradients`; a null `velocity` means no momentum.
char* convoy_fused_sgd(at::Tensor* parameters, at::Tensor* gradients, at::Tensor* velocity, double weight_decay, double momentum,
                       double learning_rate, bool nesterov);
}
