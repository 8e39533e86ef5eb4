// Loops between f32 values and sums of integers that lie in the memory of f32 values. Compiled as normalise_kernels.h says.
#pragma once
#include <cstddef>
#include <cstdint>

namespace convoy {

// The same bits on every instruction set. A scale is a power of two, so that multiplying by it rounds nothing that matters.
struct FixedPointKernels {
  // `sums` becomes, or is increased by, value * scale, clamped to -limit .. limit and rounded, halves to even. Returns the largest of the
  // values' bits without their sign: of numbers the largest magnitude, above all numbers infinity, above that what is no number.
  uint32_t (*set)(const float* values, float* sums, size_t count, float scale, float limit);
  uint32_t (*add)(const float* values, float* sums, size_t count, float scale, float limit);
  // In place: each sum becomes the nearest f32, halves to even, times scale.
  void (*to_floats)(float* sums, size_t count, float scale);
};

extern const FixedPointKernels fixed_point_baseline;
#ifdef CONVOY_X86
extern const FixedPointKernels fixed_point_avx2;
extern const FixedPointKernels fixed_point_avx512;
#endif

}  // namespace convoy
