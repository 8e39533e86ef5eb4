// Convolutions of 3x3 with padding 1 and stride 1 by Winograd's algorithm, on a CPU: values and gradients, over the kernels of
// winograd_kernels.h.
#pragma once
#include <ATen/core/Tensor.h>

namespace convoy {

// Whether the kernels exist for this machine, take these tensors and are quicker than what libtorch has; depends on shapes, not on
// the number of threads.
bool is_winograd(const at::Tensor& x, const at::Tensor& weight);

// Of x with shape [n, inputs, height, width] and weight with [outputs, inputs, 3, 3].
at::Tensor winograd(const at::Tensor& x, const at::Tensor& weight);
at::Tensor winograd_input_gradient(const at::Tensor& gradient, const at::Tensor& weight);
at::Tensor winograd_weight_gradient(const at::Tensor& gradient, const at::Tensor& x, const at::Tensor& weight);

}  // namespace convoy
