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

// Fused updates of flat memory. Each of the four lists has `runs` tensors, which must be contiguous and alike; `first` and
// `second` may be null for an update that keeps no such state. The tensors' memory is shared, not copied.
struct convoy_update;
char* convoy_update_new(at::Tensor* const* parameters, at::Tensor* const* gradients, at::Tensor* const* first,
                        at::Tensor* const* second, size_t runs, convoy_update** out);
void convoy_update_free(convoy_update* update);

// torch.optim.SGD; `first` is the velocity, null without momentum. Gradients are divided by `gradient_divisor` first.
char* convoy_update_sgd(convoy_update* update, double learning_rate, double momentum, bool nesterov, double weight_decay,
                        double gradient_divisor);

// torch.optim.AdamW; `first` and `second` are the running means of gradients and squares, `count` is 1 for the first update.
char* convoy_update_adamw(convoy_update* update, double learning_rate, double beta1, double beta2, double eps,
                          double weight_decay, double count, double gradient_divisor);

// Gradients as sums of integers. `places` are where the gradient of each parameter goes instead of its `.grad`: f32 tensors of the
// same sizes whose memory holds i32 sums from convoy_fixed_sums_begin until convoy_fixed_sums_to_floats; shared, not copied. All but
// what backward itself calls must be called while no backward runs.
struct convoy_fixed_sums;
char* convoy_fixed_sums_new(at::Tensor* const* parameters, at::Tensor* const* places, size_t count, convoy_fixed_sums** out);
void convoy_fixed_sums_free(convoy_fixed_sums* sums);

// Sums begin anew. From now on backward adds gradient * 2^exponent, clamped to -limit .. limit and rounded, halves to even; each
// parameter has an exponent of its own, -126 .. 126.
void convoy_fixed_sums_begin(convoy_fixed_sums* sums, const int32_t* exponents, float limit);
// Makes zeros of the sums of parameters that got no gradient since they began.
void convoy_fixed_sums_complete(convoy_fixed_sums* sums);
// The bits of the largest magnitude among each parameter's gradients since sums began.
void convoy_fixed_sums_magnitudes(const convoy_fixed_sums* sums, int32_t* out);
// Makes f32 gradients of the sums: the nearest to each, times 2^-exponent.
char* convoy_fixed_sums_to_floats(convoy_fixed_sums* sums);

// A layer of BatchNorm in training; each tensor has one value for each channel.
struct convoy_batch_norm {
  at::Tensor *weight, *bias, *running_mean, *running_var;
  double momentum, epsilon;
};

// BatchNorm with the batch's own statistics and what follows it, in one: the running statistics move, autograd knows the function.
// `out` becomes null for tensors that the kernels don't take (other layouts, types and devices, autocast): nothing happened then.
//
// max(0, norm(x) + residual); `residual` may be null.
char* convoy_norm_relu(at::Tensor* x, convoy_batch_norm norm, at::Tensor* residual, at::Tensor** out);
// max(0, max_pool2d(norm(x), 2)), sides rounded down.
char* convoy_norm_pool_relu(at::Tensor* x, convoy_batch_norm norm, at::Tensor** out);

// The convolution of x by a weight of 3x3 with padding 1 and stride 1, by Winograd's algorithm; autograd knows the function. `out` as above.
char* convoy_convolve_3x3(at::Tensor* x, at::Tensor* weight, at::Tensor** out);
}
