// What the kernels written here ask of tensors.
#pragma once
#include <ATen/core/Tensor.h>
#include <c10/core/GradMode.h>

namespace convoy {

// Whether these are values that the kernels take: dense f32 on a CPU, channels last (torch.channels_last).
inline bool is_channels_last(const at::Tensor& x) {
  return x.device().is_cpu() && x.layout() == at::kStrided && x.scalar_type() == at::kFloat && x.dim() == 4 && x.numel() > 0 &&
         x.is_contiguous(at::MemoryFormat::ChannelsLast);
}

// A gradient as the kernels take it. Nothing here records its own gradient: asking for one would give wrong values.
inline at::Tensor arriving(const at::Tensor& gradient) {
  TORCH_CHECK(!c10::GradMode::is_enabled(), "fused layers have no second derivative");
  TORCH_CHECK(gradient.scalar_type() == at::kFloat, "a gradient of f32 values in ", gradient.scalar_type());
  return gradient.contiguous(at::MemoryFormat::ChannelsLast);
}

}  // namespace convoy
