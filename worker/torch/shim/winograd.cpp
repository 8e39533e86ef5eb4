#include "winograd.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <array>

#include "capability.h"
#include "layout.h"
#include "winograd_kernels.h"

namespace convoy {
namespace {

// Tiles of a block: with 64 channels in and out its matrices are 400 KB, which stay in a second-level cache of 1 MiB.
constexpr size_t BLOCK_TILES = 48;
// Sums of weight gradients that are made beside each other, by as many threads at most; there are enough tiles to make each worth it.
constexpr size_t PARTS = 8;
constexpr size_t LEAST_TILES = PARTS * BLOCK_TILES;

const WinogradKernels* kernels() {
#ifdef CONVOY_X86
  // Narrower registers are too few for a product's sums.
  if (capability() == Capability::AVX512) return &winograd_avx512;
#endif
  return nullptr;
}

Tiling tiling(const at::Tensor& x) { return {static_cast<size_t>(x.size(2)), static_cast<size_t>(x.size(3))}; }

size_t tiles(const at::Tensor& x) { return x.size(0) * tiling(x).each(); }

at::Tensor matrices(size_t rows, size_t columns, const at::Tensor& like) {
  return at::empty({static_cast<int64_t>(POINTS * rows * columns)}, like.options().memory_format(c10::nullopt));
}

// A weight [outputs, inputs, 3, 3] wherever its values lie.
struct Kernels {
  float* first;
  size_t outputs, inputs;
  int64_t output_stride, input_stride, down_stride, right_stride;

  explicit Kernels(const at::Tensor& weight)
      : first(weight.mutable_data_ptr<float>()),
        outputs(weight.size(0)),
        inputs(weight.size(1)),
        output_stride(weight.stride(0)),
        input_stride(weight.stride(1)),
        down_stride(weight.stride(2)),
        right_stride(weight.stride(3)) {}

  // What the gradient goes back through: roles exchanged, each kernel turned by half a turn.
  Kernels turned() const {
    Kernels back = *this;
    back.first = first + 2 * down_stride + 2 * right_stride;
    std::swap(back.outputs, back.inputs);
    std::swap(back.output_stride, back.input_stride);
    back.down_stride = -down_stride;
    back.right_stride = -right_stride;
    return back;
  }

  float* at(size_t output, size_t input) const {
    return first + static_cast<int64_t>(output) * output_stride + static_cast<int64_t>(input) * input_stride;
  }

  // Where this pair is in the matrix of one point.
  size_t place(size_t output, size_t input) const {
    return (output / PANEL * inputs + input) * PANEL + output % PANEL;
  }

  // Calls `body(output, input)` for all pairs, those beside each other in a matrix one after the other.
  template <typename Body>
  void each(Body body) const {
    for (size_t panel = 0; panel < outputs; panel += PANEL) {
      for (size_t input = 0; input < inputs; ++input) {
        for (size_t output = panel; output < panel + PANEL; ++output) body(output, input);
      }
    }
  }
};

// G g G' for each kernel, as `[POINTS][outputs / PANEL][inputs][PANEL]`.
void transform(const Kernels& weight, float* out) {
  const size_t point = weight.outputs * weight.inputs;
  weight.each([&](size_t output, size_t input) {
    const float* const g = weight.at(output, input);
    float* const to = out + weight.place(output, input);
    float rows[4][3];
    for (int64_t j = 0; j < 3; ++j) {
      const float* const column = g + j * weight.right_stride;
      const float top = column[0], middle = column[weight.down_stride], bottom = column[2 * weight.down_stride];
      rows[0][j] = top;
      rows[1][j] = 0.5f * (top + middle + bottom);
      rows[2][j] = 0.5f * (top - middle + bottom);
      rows[3][j] = bottom;
    }
    for (size_t i = 0; i < 4; ++i) {
      to[(4 * i) * point] = rows[i][0];
      to[(4 * i + 1) * point] = 0.5f * (rows[i][0] + rows[i][1] + rows[i][2]);
      to[(4 * i + 2) * point] = 0.5f * (rows[i][0] - rows[i][1] + rows[i][2]);
      to[(4 * i + 3) * point] = rows[i][2];
    }
  });
}

// G' s G for each kernel, where s are the sums of all parts.
void transform_back(const float* parts, size_t count, const Kernels& gradient) {
  const size_t point = gradient.outputs * gradient.inputs;
  gradient.each([&](size_t output, size_t input) {
    const float* const from = parts + gradient.place(output, input);
    float sums[POINTS] = {};
    for (size_t part = 0; part < count; ++part) {
      for (size_t i = 0; i < POINTS; ++i) sums[i] += from[(part * POINTS + i) * point];
    }
    float rows[3][4];
    for (size_t j = 0; j < 4; ++j) {
      const float even = 0.5f * (sums[4 + j] + sums[8 + j]), odd = 0.5f * (sums[4 + j] - sums[8 + j]);
      rows[0][j] = sums[j] + even;
      rows[1][j] = odd;
      rows[2][j] = even + sums[12 + j];
    }
    float* const g = gradient.at(output, input);
    for (int64_t i = 0; i < 3; ++i) {
      float* const row = g + i * gradient.down_stride;
      const float even = 0.5f * (rows[i][1] + rows[i][2]), odd = 0.5f * (rows[i][1] - rows[i][2]);
      row[0] = rows[i][0] + even;
      row[gradient.right_stride] = odd;
      row[2 * gradient.right_stride] = even + rows[i][3];
    }
  });
}

at::Tensor convolved(const at::Tensor& x, const Kernels& weight) {
  const at::Tensor right = matrices(weight.inputs, weight.outputs, x);
  transform(weight, right.mutable_data_ptr<float>());
  at::Tensor out = at::empty({x.size(0), static_cast<int64_t>(weight.outputs), x.size(2), x.size(3)}, x.options(),
                             at::MemoryFormat::ChannelsLast);
  const at::Tensor none = at::zeros({x.size(1)}, x.options());
  const Tiling cut = tiling(x);
  const size_t all = tiles(x);
  const float* const images = x.const_data_ptr<float>();
  const float* const factors = right.const_data_ptr<float>();
  float* const results = out.mutable_data_ptr<float>();
  at::parallel_for(0, (all + BLOCK_TILES - 1) / BLOCK_TILES, 1, [&](int64_t begin, int64_t end) {
    const at::Tensor left = matrices(BLOCK_TILES, weight.inputs, x), product = matrices(BLOCK_TILES, weight.outputs, x);
    const at::Tensor spare = at::empty({out.size(1)}, x.options());
    for (int64_t block = begin; block < end; ++block) {
      const size_t first = block * BLOCK_TILES, count = std::min(BLOCK_TILES, all - first);
      kernels()->around(images, none.const_data_ptr<float>(), weight.inputs, cut, first, count, BLOCK_TILES,
                        left.mutable_data_ptr<float>());
      kernels()->product(left.const_data_ptr<float>(), factors, BLOCK_TILES, weight.inputs, weight.outputs,
                         product.mutable_data_ptr<float>());
      kernels()->back(product.const_data_ptr<float>(), spare.mutable_data_ptr<float>(), weight.outputs, cut, first, count,
                      BLOCK_TILES, results);
    }
  });
  return out;
}

}  // namespace

bool is_winograd(const at::Tensor& x, const at::Tensor& weight) {
  return kernels() != nullptr && is_channels_last(x) && weight.device().is_cpu() && weight.layout() == at::kStrided &&
         weight.scalar_type() == at::kFloat && weight.dim() == 4 && weight.size(2) == 3 && weight.size(3) == 3 &&
         weight.size(1) == x.size(1) && weight.size(0) > 0 && weight.size(0) % PANEL == 0 && weight.size(1) % PANEL == 0 &&
         tiles(x) >= LEAST_TILES;
}

at::Tensor winograd(const at::Tensor& x, const at::Tensor& weight) { return convolved(x, Kernels(weight)); }

at::Tensor winograd_input_gradient(const at::Tensor& gradient, const at::Tensor& weight) {
  return convolved(gradient, Kernels(weight).turned());
}

at::Tensor winograd_weight_gradient(const at::Tensor& gradient, const at::Tensor& x, const at::Tensor& weight) {
  at::Tensor out = at::empty_like(weight);
  const Kernels kernel(out);
  const at::Tensor sums = at::zeros({static_cast<int64_t>(PARTS * POINTS * kernel.inputs * kernel.outputs)}, x.options());
  const at::Tensor none = at::zeros({std::max(x.size(1), gradient.size(1))}, x.options());
  const Tiling cut = tiling(x);
  const size_t all = tiles(x), blocks = (all + BLOCK_TILES - 1) / BLOCK_TILES;
  const float* const zeros = none.const_data_ptr<float>();
  const float* const images = x.const_data_ptr<float>();
  const float* const given = gradient.const_data_ptr<float>();
  float* const parts = sums.mutable_data_ptr<float>();
  at::parallel_for(0, PARTS, 1, [&](int64_t begin, int64_t end) {
    const at::Tensor left = matrices(BLOCK_TILES, kernel.inputs, x), right = matrices(BLOCK_TILES, kernel.outputs, x);
    for (size_t part = begin; part < static_cast<size_t>(end); ++part) {
      for (size_t block = part * blocks / PARTS; block < (part + 1) * blocks / PARTS; ++block) {
        const size_t first = block * BLOCK_TILES, count = std::min(BLOCK_TILES, all - first);
        kernels()->around(images, zeros, kernel.inputs, cut, first, count, BLOCK_TILES, left.mutable_data_ptr<float>());
        kernels()->within(given, zeros, kernel.outputs, cut, first, count, BLOCK_TILES, right.mutable_data_ptr<float>());
        kernels()->add_transposed_product(left.const_data_ptr<float>(), right.const_data_ptr<float>(), BLOCK_TILES, kernel.inputs,
                                          kernel.outputs, parts + part * POINTS * kernel.inputs * kernel.outputs);
      }
    }
  });
  transform_back(parts, PARTS, kernel);
  return out;
}

}  // namespace convoy
