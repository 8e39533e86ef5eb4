// Loops over channels-last f32 memory: rows of `channels` values that lie side by side, one row for each pixel.
//
// The source beside this header is compiled once for each instruction set; nothing of the standard library is used in it, so that
// no inline function compiled for one set can be linked into another's callers.
#pragma once
#include <cstddef>
#include <cstdint>

namespace convoy {

// One value for each channel: what a normalised value is made of, `x * scale + shift`.
struct Affine {
  const float* scale;
  const float* shift;
};

// One value for each channel: the gradient `dy * gain + (x - mean) * slope + offset` of what was normalised.
struct Slopes {
  const float* mean;
  const float* gain;
  const float* slope;
  const float* offset;
};

// Rows of pixels in pairs of two, of which 2x2 windows are pooled. Sides are rounded down: the last row and column may be in none.
struct Windows {
  size_t height, width, channels;

  size_t pooled_height() const { return height / 2; }
  size_t pooled_width() const { return width / 2; }
};

// Which pixel of its window was the largest, left to right and top to bottom; or none passes a gradient on.
constexpr uint8_t NO_PIXEL = 4;

// Each function works on one block, small enough for the caches next to the core; sums are f32 within it. `pooled` counts rows of
// pooled pixels over all images.
struct NormaliseKernels {
  // Mean of each channel, and the sum of the squared distances from it.
  void (*moments)(const float* x, size_t rows, size_t channels, float* mean, float* squares);

  // max(0, x * scale + shift + residual); `residual` may be null.
  void (*relu)(const float* x, const float* residual, float* out, size_t rows, size_t channels, Affine affine);
  // The sums of dy and of dy * (x - mean), where dy is `gradient` where `out` is not clamped.
  void (*relu_sums)(const float* gradient, const float* out, const float* x, size_t rows, size_t channels, const float* mean,
                    float* sums, float* products);
  // The gradient of x, and of the residual if `residual` is not null.
  void (*relu_gradient)(const float* gradient, const float* out, const float* x, float* dx, float* residual, size_t rows,
                        size_t channels, Slopes slopes);

  // max(0, largest of x * scale + shift in each window), which pixel that was, and its x. For the sums over dy, the pixels of
  // all windows are rows like others.
  void (*pool)(const float* x, float* out, uint8_t* picks, float* picked, size_t pooled, size_t pooled_end, Windows windows,
               Affine affine);
  void (*pool_gradient)(const float* gradient, const uint8_t* picks, const float* x, float* dx, size_t pooled,
                        size_t pooled_end, Windows windows, Slopes slopes);
};

extern const NormaliseKernels normalise_baseline;
#ifdef CONVOY_X86
extern const NormaliseKernels normalise_avx2;
extern const NormaliseKernels normalise_avx512;
#endif

}  // namespace convoy
