#include "normalise.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "capability.h"

namespace convoy {
namespace {

// Values that a block has of each channel, at least: below it, what blocks leave behind would be as much as they are made of.
constexpr size_t LEAST_ROWS = 32;
// Values of a block: 16 KiB, half of the smallest first-level cache in use.
constexpr size_t BLOCK_VALUES = 4096;

const NormaliseKernels& kernels() {
#ifdef CONVOY_X86
  if (capability() == Capability::AVX512) return normalise_avx512;
  if (capability() == Capability::AVX2) return normalise_avx2;
#endif
  return normalise_baseline;
}

struct Shape {
  size_t images, channels, height, width;

  explicit Shape(const at::Tensor& x)
      : images(x.size(0)), channels(x.size(1)), height(x.size(2)), width(x.size(3)) {}

  size_t rows() const { return images * height * width; }
  size_t pooled_rows() const { return images * (height / 2) * (width / 2); }
  Windows windows() const { return {height, width, channels}; }
};

// Rows in blocks of equal length, but for the last. Where a block begins depends on the tensor's shape alone, so that sums are the same
// for any number of threads.
struct Blocks {
  size_t rows, length;

  static Blocks of_pixels(const Shape& shape) { return of_rows(shape.rows(), shape.channels); }
  static Blocks of_pooled_pixels(const Shape& shape) { return of_rows(shape.pooled_rows(), shape.channels); }
  static Blocks of_rows(size_t rows, size_t channels) { return {rows, std::max(LEAST_ROWS, BLOCK_VALUES / channels)}; }

  // Rows here are rows of windows side by side.
  static Blocks of_windows(const Shape& shape) {
    const size_t columns = shape.width / 2;
    const size_t pixels = std::max(LEAST_ROWS, BLOCK_VALUES / shape.channels);
    return {shape.images * (shape.height / 2), std::max<size_t>(1, pixels / columns)};
  }

  size_t count() const { return (rows + length - 1) / length; }

  // Calls `body(block, first row, row behind the last)`.
  template <typename Body>
  void each(Body body) const {
    at::parallel_for(0, count(), 1, [&](int64_t begin, int64_t end) {
      for (size_t block = begin; block < static_cast<size_t>(end); ++block) {
        body(block, block * length, std::min(rows, (block + 1) * length));
      }
    });
  }
};

// Two values of each channel from each block, made in parallel and added up in f64 in the order of the blocks.
struct Partials {
  size_t channels;
  std::vector<float> first, second;

  Partials(size_t blocks, size_t channels) : channels(channels), first(blocks * channels), second(blocks * channels) {}

  static std::vector<double> total(const std::vector<float>& parts, size_t channels) {
    std::vector<double> sums(channels);
    for (size_t begin = 0; begin < parts.size(); begin += channels) {
      for (size_t c = 0; c < channels; ++c) sums[c] += parts[begin + c];
    }
    return sums;
  }
};

// Chan, Golub, LeVeque, "Algorithms for computing the sample variance" (1983): the squared distances from the mean of all are those
// from the blocks' own means, and those of the blocks' means, each as often as the block has values.
void combine(const Partials& parts, const Blocks& blocks, std::vector<double>& mean, std::vector<double>& squares) {
  const size_t channels = parts.channels;
  const auto length = [&](size_t block) {
    return static_cast<double>(std::min(blocks.length, blocks.rows - block * blocks.length));
  };
  for (size_t block = 0; block < blocks.count(); ++block) {
    for (size_t c = 0; c < channels; ++c) mean[c] += length(block) * parts.first[block * channels + c];
  }
  for (size_t c = 0; c < channels; ++c) mean[c] /= static_cast<double>(blocks.rows);
  for (size_t block = 0; block < blocks.count(); ++block) {
    for (size_t c = 0; c < channels; ++c) {
      const double distance = parts.first[block * channels + c] - mean[c];
      squares[c] += parts.second[block * channels + c] + length(block) * distance * distance;
    }
  }
}

void move_running(const at::Tensor& running, double momentum, size_t channel, double value) {
  float& kept = running.data_ptr<float>()[channel];
  kept = static_cast<float>(momentum * value + (1.0 - momentum) * kept);
}

// For each channel, `scale` and `shift` of Affine.
struct AffineValues {
  std::vector<float> scale, shift;

  AffineValues(const BatchNorm& norm, const Statistics& statistics) {
    const float* const weight = norm.weight.const_data_ptr<float>();
    const float* const bias = norm.bias.const_data_ptr<float>();
    const float* const mean = statistics.mean.const_data_ptr<float>();
    const float* const inverse = statistics.inverse_deviation.const_data_ptr<float>();
    for (int64_t c = 0; c < norm.weight.numel(); ++c) {
      scale.push_back(inverse[c] * weight[c]);
      shift.push_back(bias[c] - mean[c] * scale.back());
    }
  }

  Affine pointers() const { return {scale.data(), shift.data()}; }
};

// From the sums over dy to the gradients of weight and bias, and to what those of x are made of:
// dx = weight / deviation * (dy - mean(dy) - xhat * mean(dy * xhat)), xhat = (x - mean) / deviation.
struct SlopeValues {
  std::vector<float> gain, slope, offset;
  const float* mean;
  at::Tensor weight_gradient, bias_gradient;

  SlopeValues(const Partials& parts, size_t values, const at::Tensor& weight, const Statistics& statistics)
      : mean(statistics.mean.const_data_ptr<float>()),
        weight_gradient(at::empty_like(weight)),
        bias_gradient(at::empty_like(weight)) {
    const std::vector<double> sums = Partials::total(parts.first, parts.channels);
    const std::vector<double> products = Partials::total(parts.second, parts.channels);
    const float* const weights = weight.const_data_ptr<float>();
    const float* const inverses = statistics.inverse_deviation.const_data_ptr<float>();
    for (size_t c = 0; c < parts.channels; ++c) {
      const double inverse = inverses[c], scale = inverse * weights[c], count = static_cast<double>(values);
      weight_gradient.data_ptr<float>()[c] = static_cast<float>(products[c] * inverse);
      bias_gradient.data_ptr<float>()[c] = static_cast<float>(sums[c]);
      gain.push_back(static_cast<float>(scale));
      slope.push_back(static_cast<float>(-scale * inverse * inverse * products[c] / count));
      offset.push_back(static_cast<float>(-scale * sums[c] / count));
    }
  }

  Slopes pointers() const { return {mean, gain.data(), slope.data(), offset.data()}; }
};

// Of dy and of dy * (x - mean), where dy is `gradient` where `out` is not clamped.
Partials sums(const float* gradient, const at::Tensor& out, const at::Tensor& x, const Blocks& blocks, size_t channels,
              const Statistics& statistics) {
  const float* const results = out.const_data_ptr<float>();
  const float* const values = x.const_data_ptr<float>();
  const float* const mean = statistics.mean.const_data_ptr<float>();
  Partials parts(blocks.count(), channels);
  blocks.each([&](size_t block, size_t begin, size_t end) {
    const size_t first = begin * channels;
    kernels().relu_sums(gradient + first, results + first, values + first, end - begin, channels, mean,
                        &parts.first[block * channels], &parts.second[block * channels]);
  });
  return parts;
}

at::Tensor empty(at::IntArrayRef shape, const at::TensorOptions& options) {
  return at::empty(shape, options, at::MemoryFormat::ChannelsLast);
}

}  // namespace

Statistics measure(const at::Tensor& x, const BatchNorm& norm) {
  const Shape shape(x);
  const Blocks blocks = Blocks::of_pixels(shape);
  const float* const values = x.const_data_ptr<float>();
  const size_t channels = shape.channels;
  Partials parts(blocks.count(), channels);
  blocks.each([&](size_t block, size_t begin, size_t end) {
    kernels().moments(values + begin * channels, end - begin, channels, &parts.first[block * channels],
                      &parts.second[block * channels]);
  });
  std::vector<double> mean(channels), squares(channels);
  combine(parts, blocks, mean, squares);

  const auto count = static_cast<double>(shape.rows());
  Statistics statistics{at::empty({x.size(1)}, x.options()), at::empty({x.size(1)}, x.options())};
  for (size_t c = 0; c < channels; ++c) {
    statistics.mean.data_ptr<float>()[c] = static_cast<float>(mean[c]);
    statistics.inverse_deviation.data_ptr<float>()[c] = static_cast<float>(1.0 / std::sqrt(squares[c] / count + norm.epsilon));
    move_running(norm.running_mean, norm.momentum, c, mean[c]);
    move_running(norm.running_var, norm.momentum, c, squares[c] / (count - 1.0));
  }
  return statistics;
}

at::Tensor norm_relu(const at::Tensor& x, const at::Tensor& residual, const BatchNorm& norm, const Statistics& statistics) {
  const Shape shape(x);
  const AffineValues affine(norm, statistics);
  at::Tensor out = empty(x.sizes(), x.options());
  const float* const values = x.const_data_ptr<float>();
  const float* const added = residual.defined() ? residual.const_data_ptr<float>() : nullptr;
  float* const results = out.data_ptr<float>();
  Blocks::of_pixels(shape).each([&](size_t, size_t begin, size_t end) {
    const size_t first = begin * shape.channels;
    kernels().relu(values + first, added == nullptr ? nullptr : added + first, results + first, end - begin, shape.channels,
                   affine.pointers());
  });
  return out;
}

NormGradients norm_relu_backward(const at::Tensor& gradient, const at::Tensor& out, const at::Tensor& x,
                                 const at::Tensor& weight, const Statistics& statistics, bool with_residual) {
  const Shape shape(x);
  const Blocks blocks = Blocks::of_pixels(shape);
  const size_t channels = shape.channels;
  const float* const given = gradient.const_data_ptr<float>();
  const float* const results = out.const_data_ptr<float>();
  const float* const values = x.const_data_ptr<float>();
  const Partials parts = sums(given, out, x, blocks, channels, statistics);
  const SlopeValues slopes(parts, shape.rows(), weight, statistics);
  NormGradients gradients{empty(x.sizes(), x.options()), slopes.weight_gradient, slopes.bias_gradient, {}};
  if (with_residual) gradients.residual = empty(x.sizes(), x.options());
  float* const dx = gradients.x.data_ptr<float>();
  float* const residual = with_residual ? gradients.residual.data_ptr<float>() : nullptr;
  blocks.each([&](size_t, size_t begin, size_t end) {
    const size_t first = begin * channels;
    kernels().relu_gradient(given + first, results + first, values + first, dx + first,
                            residual == nullptr ? nullptr : residual + first, end - begin, channels, slopes.pointers());
  });
  return gradients;
}

Pooled norm_pool_relu(const at::Tensor& x, const BatchNorm& norm, const Statistics& statistics) {
  const Shape shape(x);
  const AffineValues affine(norm, statistics);
  const int64_t pooled[] = {x.size(0), x.size(1), x.size(2) / 2, x.size(3) / 2};
  Pooled made{empty(pooled, x.options()), empty(pooled, x.options().dtype(at::kByte)), empty(pooled, x.options())};
  const float* const values = x.const_data_ptr<float>();
  float* const results = made.out.data_ptr<float>();
  uint8_t* const pixels = made.picks.data_ptr<uint8_t>();
  float* const picked = made.picked.data_ptr<float>();
  Blocks::of_windows(shape).each([&](size_t, size_t begin, size_t end) {
    kernels().pool(values, results, pixels, picked, begin, end, shape.windows(), affine.pointers());
  });
  return made;
}

NormGradients norm_pool_relu_backward(const at::Tensor& gradient, const Pooled& pooled, const at::Tensor& x,
                                      const at::Tensor& weight, const Statistics& statistics) {
  const Shape shape(x);
  const float* const given = gradient.const_data_ptr<float>();
  // Only picked values have a gradient of their own.
  const Partials parts =
      sums(given, pooled.out, pooled.picked, Blocks::of_pooled_pixels(shape), shape.channels, statistics);
  const SlopeValues slopes(parts, shape.rows(), weight, statistics);
  NormGradients gradients{empty(x.sizes(), x.options()), slopes.weight_gradient, slopes.bias_gradient, {}};
  const uint8_t* const pixels = pooled.picks.const_data_ptr<uint8_t>();
  const float* const values = x.const_data_ptr<float>();
  float* const dx = gradients.x.data_ptr<float>();
  Blocks::of_windows(shape).each([&](size_t, size_t begin, size_t end) {
    kernels().pool_gradient(given, pixels, values, dx, begin, end, shape.windows(), slopes.pointers());
  });
  return gradients;
}

}  // namespace convoy
