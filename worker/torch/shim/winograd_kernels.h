// Pieces of a 3x3 convolution by Winograd's algorithm F(2x2, 3x3), over channels-last f32 memory.
//
// Lavin, Gray, "Fast Algorithms for Convolutional Networks" (2015): y = A'[(G g G') . (B' d B)]A for each 2x2 tile of y, where d are the
// 4x4 values of x around it. The products are 16 independent matrix products, of 4 multiplications a value where the plain sum has 9.
//
// The source beside this header is compiled for one instruction set; nothing of the standard library is used in it, so that no inline
// function compiled for that set can be linked into another's callers.
#pragma once
#include <cstddef>
#include <cstdint>

namespace convoy {

// Products of a 4x4 tile.
constexpr size_t POINTS = 16;
// Channels lie in panels of so many, two registers of AVX-512: a matrix of `rows` by `channels` is `[channels / PANEL][rows][PANEL]`.
constexpr size_t PANEL = 32;
// Rows of a product that stay in registers; tiles come in multiples of it.
constexpr size_t PRODUCT_ROWS = 8;

// Dense images `[n, height, width, channels]`, cut in tiles of 2x2 whose last row and column may stand over the edge.
struct Tiling {
  size_t height, width;

  size_t rows() const { return (height + 1) / 2; }
  size_t columns() const { return (width + 1) / 2; }
  size_t each() const { return rows() * columns(); }
};

// Each function works on the `count` tiles from `first` on over all images; matrices of tiles have `length` rows for each of the points,
// of which those from `count` on are zeros. `none` are as many zeros as an image has channels; `spare` takes what is written over the edge.
struct WinogradKernels {
  // B' d B of the 4x4 pixels around each tile, into `[POINTS][channels / PANEL][length][PANEL]`.
  void (*around)(const float* images, const float* none, size_t channels, Tiling tiling, size_t first, size_t count, size_t length,
                 float* out);
  // A d A' of each tile's 2x2 pixels, into the same form.
  void (*within)(const float* images, const float* none, size_t channels, Tiling tiling, size_t first, size_t count, size_t length,
                 float* out);
  // A' m A, from the same form to the tiles' pixels.
  void (*back)(const float* matrices, float* spare, size_t channels, Tiling tiling, size_t first, size_t count, size_t length,
               float* images);
  // left * right for each point: `[POINTS][inputs / PANEL][length][PANEL]` times `[POINTS][outputs / PANEL][inputs][PANEL]`.
  void (*product)(const float* left, const float* right, size_t length, size_t inputs, size_t outputs, float* out);
  // Adds left' * right for each point: both of `length` rows, the sum `[POINTS][outputs / PANEL][inputs][PANEL]`.
  void (*add_transposed_product)(const float* left, const float* right, size_t length, size_t inputs, size_t outputs, float* sum);
};

extern const WinogradKernels winograd_avx512;

}  // namespace convoy
