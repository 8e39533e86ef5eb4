// BatchNorm with what follows it, on a CPU: its parts and their gradients, over the kernels of normalise_kernels.h.
#pragma once
#include <ATen/core/Tensor.h>

#include "normalise_kernels.h"

namespace convoy {

// What a layer of BatchNorm consists of; each tensor has one value for each channel.
struct BatchNorm {
  at::Tensor weight, bias, running_mean, running_var;
  double momentum, epsilon;
};

// Of one batch; f32, one value for each channel.
struct Statistics {
  at::Tensor mean, inverse_deviation;
};

// Gradients of `x`, of weight and bias, and of what was added to the normalised values.
struct NormGradients {
  at::Tensor x, weight, bias, residual;
};

// The batch's own statistics; moves the running ones towards them.
Statistics measure(const at::Tensor& x, const BatchNorm& norm);

// max(0, norm(x) + residual); `residual` may be undefined.
at::Tensor norm_relu(const at::Tensor& x, const at::Tensor& residual, const BatchNorm& norm, const Statistics& statistics);
NormGradients norm_relu_backward(const at::Tensor& gradient, const at::Tensor& out, const at::Tensor& x,
                                 const at::Tensor& weight, const Statistics& statistics, bool with_residual);

// Pooled values, which pixel of its window each came from, and that pixel of `x`: backward's sums need no others.
struct Pooled {
  at::Tensor out, picks, picked;
};

// max(0, max_pool2d(norm(x), 2)).
Pooled norm_pool_relu(const at::Tensor& x, const BatchNorm& norm, const Statistics& statistics);
NormGradients norm_pool_relu_backward(const at::Tensor& gradient, const Pooled& pooled, const at::Tensor& x,
                                      const at::Tensor& weight, const Statistics& statistics);

}  // namespace convoy
