// Compiled for each instruction set; CONVOY_KERNELS is the table's name in it. See the header.
#include "normalise_kernels.h"

namespace {

using convoy::Affine;
using convoy::NO_PIXEL;
using convoy::Slopes;
using convoy::Windows;

// The compiler makes of these what the instruction set has: one register of AVX-512, two of AVX, four of SSE or NEON.
constexpr size_t LANES = 16;
typedef float Floats __attribute__((vector_size(4 * LANES)));
typedef int32_t Ints __attribute__((vector_size(4 * LANES)));
typedef uint8_t Bytes __attribute__((vector_size(LANES)));

// `COUNT` registers of channels, or single channels where fewer are left than a register holds.
template <typename Value, int COUNT>
struct Width {
  using V = Value;
  static constexpr int N = COUNT;
};

inline void load(Floats& to, const float* from) { __builtin_memcpy(&to, from, sizeof to); }
inline void load(float& to, const float* from) { to = *from; }
inline void store(float* to, Floats from) { __builtin_memcpy(to, &from, sizeof from); }
inline void store(float* to, float from) { *to = from; }

inline Ints load_picks(const uint8_t* from, Floats) {
  Bytes bytes;
  __builtin_memcpy(&bytes, from, sizeof bytes);
  return __builtin_convertvector(bytes, Ints);
}
inline int32_t load_picks(const uint8_t* from, float) { return *from; }
inline void store_picks(uint8_t* to, Ints from) {
  const Bytes bytes = __builtin_convertvector(from, Bytes);
  __builtin_memcpy(to, &bytes, sizeof bytes);
}
inline void store_picks(uint8_t* to, int32_t from) { *to = static_cast<uint8_t>(from); }

template <typename V>
inline V at(const float* from) {
  V value;
  load(value, from);
  return value;
}

template <typename V>
constexpr size_t lanes() {
  return sizeof(V) / sizeof(float);
}

// Calls `body(Width, channel)` for all channels, each width as long as it fits.
template <int WIDEST, typename Body>
inline void by_channels(size_t channels, Body body) {
  size_t channel = 0;
  for (; channel + WIDEST * LANES <= channels; channel += WIDEST * LANES) body(Width<Floats, WIDEST>{}, channel);
  for (; channel + LANES <= channels; channel += LANES) body(Width<Floats, 1>{}, channel);
  for (; channel < channels; ++channel) body(Width<float, 1>{}, channel);
}

void moments(const float* x, size_t rows, size_t channels, float* mean, float* squares) {
  by_channels<2>(channels, [=](auto width, size_t channel) {
    using V = typename decltype(width)::V;
    constexpr int N = decltype(width)::N;
    V sums[N] = {}, odd[N] = {}, middle[N];
    const float* first = x + channel;
    const auto value = [=](size_t row, int i) { return at<V>(first + row * channels + i * lanes<V>()); };
    // Two sums of each channel, since an addition waits for the one before it.
    for (size_t row = 0; row + 1 < rows; row += 2) {
      for (int i = 0; i < N; ++i) sums[i] += value(row, i), odd[i] += value(row + 1, i);
    }
    for (int i = 0; i < N; ++i) {
      if (rows % 2 == 1) sums[i] += value(rows - 1, i);
      middle[i] = (sums[i] + odd[i]) / static_cast<float>(rows);
      sums[i] = odd[i] = V{};
    }
    for (size_t row = 0; row + 1 < rows; row += 2) {
      for (int i = 0; i < N; ++i) {
        const V a = value(row, i) - middle[i], b = value(row + 1, i) - middle[i];
        sums[i] += a * a, odd[i] += b * b;
      }
    }
    for (int i = 0; i < N; ++i) {
      if (rows % 2 == 1) {
        const V a = value(rows - 1, i) - middle[i];
        sums[i] += a * a;
      }
      store(mean + channel + i * lanes<V>(), middle[i]);
      store(squares + channel + i * lanes<V>(), sums[i] + odd[i]);
    }
  });
}

// A NaN stays: it is not below zero.
template <typename V>
inline V clamped(V value) {
  return value <= 0.0f ? V{} : value;
}

void relu(const float* x, const float* residual, float* out, size_t rows, size_t channels, Affine affine) {
  for (size_t row = 0; row < rows; ++row) {
    by_channels<1>(channels, [=](auto width, size_t channel) {
      using V = typename decltype(width)::V;
      const size_t i = row * channels + channel;
      V y = at<V>(x + i) * at<V>(affine.scale + channel) + at<V>(affine.shift + channel);
      if (residual != nullptr) y += at<V>(residual + i);
      store(out + i, clamped(y));
    });
  }
}

template <typename V>
inline V passed(const float* gradient, const float* out) {
  return at<V>(out) <= 0.0f ? V{} : at<V>(gradient);
}

void relu_sums(const float* gradient, const float* out, const float* x, size_t rows, size_t channels, const float* mean,
               float* sums, float* products) {
  by_channels<2>(channels, [=](auto width, size_t channel) {
    using V = typename decltype(width)::V;
    constexpr int N = decltype(width)::N;
    V sum[N] = {}, product[N] = {};
    for (size_t row = 0; row < rows; ++row) {
      for (int i = 0; i < N; ++i) {
        const size_t c = channel + i * lanes<V>(), at_row = row * channels + c;
        const V dy = passed<V>(gradient + at_row, out + at_row);
        sum[i] += dy;
        product[i] += dy * (at<V>(x + at_row) - at<V>(mean + c));
      }
    }
    for (int i = 0; i < N; ++i) {
      store(sums + channel + i * lanes<V>(), sum[i]);
      store(products + channel + i * lanes<V>(), product[i]);
    }
  });
}

// What one channel's (or one register of channels') gradients are made of.
template <typename V>
struct Slope {
  V mean, gain, slope, offset;

  Slope(const Slopes& slopes, size_t channel)
      : mean(at<V>(slopes.mean + channel)),
        gain(at<V>(slopes.gain + channel)),
        slope(at<V>(slopes.slope + channel)),
        offset(at<V>(slopes.offset + channel)) {}

  V of(V x) const { return (x - mean) * slope + offset; }
};

void relu_gradient(const float* gradient, const float* out, const float* x, float* dx, float* residual, size_t rows,
                   size_t channels, Slopes slopes) {
  for (size_t row = 0; row < rows; ++row) {
    by_channels<1>(channels, [=](auto width, size_t channel) {
      using V = typename decltype(width)::V;
      const size_t i = row * channels + channel;
      const Slope<V> slope(slopes, channel);
      const V dy = passed<V>(gradient + i, out + i);
      if (residual != nullptr) store(residual + i, dy);
      store(dx + i, dy * slope.gain + slope.of(at<V>(x + i)));
    });
  }
}

// Where a row of pooled pixels has its two rows of pixels, in elements.
struct PixelRows {
  size_t top, bottom;

  PixelRows(size_t pooled, const Windows& windows) {
    const size_t image = pooled / windows.pooled_height(), row = pooled % windows.pooled_height();
    const size_t values = windows.width * windows.channels;
    top = (image * windows.height + 2 * row) * values;
    bottom = top + values;
  }
};

// Calls `body(Width, pooled value, {pixels}, channel)` for windows of the pooled rows, all as indexes of values.
template <typename Body>
inline void by_windows(size_t pooled, size_t pooled_end, const Windows& windows, Body body) {
  const size_t channels = windows.channels, columns = windows.pooled_width();
  for (size_t row = pooled; row < pooled_end; ++row) {
    const PixelRows rows(row, windows);
    for (size_t column = 0; column < columns; ++column) {
      const size_t left = 2 * column * channels;
      by_channels<1>(channels, [&](auto width, size_t c) {
        const size_t top = rows.top + left + c, bottom = rows.bottom + left + c;
        const size_t pixels[4] = {top, top + channels, bottom, bottom + channels};
        body(width, (row * columns + column) * channels + c, pixels, c);
      });
    }
  }
}

void pool(const float* x, float* out, uint8_t* picks, float* picked, size_t pooled, size_t pooled_end, Windows windows,
          Affine affine) {
  by_windows(pooled, pooled_end, windows, [=](auto width, size_t value, const size_t(&pixels)[4], size_t channel) {
    using V = typename decltype(width)::V;
    using Picks = decltype(load_picks(picks, V{}));
    const V scale = at<V>(affine.scale + channel), shift = at<V>(affine.shift + channel);
    V source = at<V>(x + pixels[0]), largest = source * scale + shift;
    Picks pick = {};
    for (int i = 1; i < 4; ++i) {
      const V pixel = at<V>(x + pixels[i]), y = pixel * scale + shift;
      // As libtorch's pooling: the first of equals, and a NaN is larger than all.
      const auto larger = (y > largest) | (y != y);
      largest = larger ? y : largest;
      source = larger ? pixel : source;
      pick = larger ? Picks{} + i : pick;
    }
    store(out + value, clamped(largest));
    store(picked + value, source);
    store_picks(picks + value, largest <= 0.0f ? Picks{} + NO_PIXEL : pick);
  });
}

void pool_gradient(const float* gradient, const uint8_t* picks, const float* x, float* dx, size_t pooled, size_t pooled_end,
                   Windows windows, Slopes slopes) {
  by_windows(pooled, pooled_end, windows, [=](auto width, size_t value, const size_t(&pixels)[4], size_t channel) {
    using V = typename decltype(width)::V;
    const Slope<V> slope(slopes, channel);
    const auto pick = load_picks(picks + value, V{});
    const V dy = at<V>(gradient + value) * slope.gain;
    for (int i = 0; i < 4; ++i) {
      store(dx + pixels[i], (pick == i ? dy : V{}) + slope.of(at<V>(x + pixels[i])));
    }
  });
  // Pixels in no window.
  const auto alone = [=](size_t first, size_t count) {
    for (size_t pixel = first; pixel < first + count * windows.channels; pixel += windows.channels) {
      by_channels<1>(windows.channels, [=](auto width, size_t channel) {
        using V = typename decltype(width)::V;
        const size_t i = pixel + channel;
        store(dx + i, Slope<V>(slopes, channel).of(at<V>(x + i)));
      });
    }
  };
  for (size_t row = pooled; row < pooled_end; ++row) {
    const PixelRows rows(row, windows);
    const size_t last_column = (windows.width - 1) * windows.channels;
    if (windows.width % 2 == 1) alone(rows.top + last_column, 1), alone(rows.bottom + last_column, 1);
    const bool is_last = (row + 1) % windows.pooled_height() == 0;
    if (is_last && windows.height % 2 == 1) alone(rows.bottom + windows.width * windows.channels, windows.width);
  }
}

}  // namespace

namespace convoy {
extern const NormaliseKernels CONVOY_KERNELS = {moments, relu, relu_sums, relu_gradient, pool, pool_gradient};
}
