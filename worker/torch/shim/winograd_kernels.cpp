// CONVOY_KERNELS is the table's name. See the header.
#include "winograd_kernels.h"

namespace {

using convoy::PANEL;
using convoy::POINTS;
using convoy::PRODUCT_ROWS;
using convoy::Tiling;

constexpr size_t LANES = 16;
typedef float Floats __attribute__((vector_size(4 * LANES)));

inline Floats at(const float* from) {
  Floats value;
  __builtin_memcpy(&value, from, sizeof value);
  return value;
}
inline void store(float* to, Floats from) { __builtin_memcpy(to, &from, sizeof from); }

// Where a tile is: its image's first value and its first pixel.
struct Tile {
  size_t image, row, column;

  Tile(size_t index, const Tiling& tiling) {
    const size_t within = index % tiling.each();
    image = index / tiling.each() * tiling.height * tiling.width;
    row = 2 * (within / tiling.columns());
    column = 2 * (within % tiling.columns());
  }

  // The pixel's index, or `otherwise` beyond the edge; an unsigned number below zero is beyond it too.
  bool has(size_t down, size_t right, const Tiling& tiling) const { return row + down < tiling.height && column + right < tiling.width; }
  size_t pixel(size_t down, size_t right, const Tiling& tiling) const { return image + (row + down) * tiling.width + column + right; }
};

// Calls `body(channel, place)` for each register of channels, where `place` is that in a matrix of one point.
template <typename Body>
inline void by_channels(size_t channels, size_t length, size_t tile, Body body) {
  for (size_t panel = 0; panel < channels / PANEL; ++panel) {
    for (size_t c = 0; c < PANEL; c += LANES) body(panel * PANEL + c, (panel * length + tile) * PANEL + c);
  }
}

// The rows that no tile belongs to.
void clear(float* matrices, size_t channels, size_t count, size_t length) {
  for (size_t panel = 0; panel < POINTS * channels / PANEL; ++panel) {
    __builtin_memset(matrices + (panel * length + count) * PANEL, 0, (length - count) * PANEL * sizeof(float));
  }
}

void around(const float* images, const float* none, size_t channels, Tiling tiling, size_t first, size_t count, size_t length,
            float* out) {
  const size_t point = length * channels;
  for (size_t index = 0; index < count; ++index) {
    const Tile tile(first + index, tiling);
    const float* pixels[4][4];
    for (size_t i = 0; i < 4; ++i) {
      for (size_t j = 0; j < 4; ++j) {
        pixels[i][j] = tile.has(i - 1, j - 1, tiling) ? images + tile.pixel(i - 1, j - 1, tiling) * channels : none;
      }
    }
    by_channels(channels, length, index, [&](size_t channel, size_t place) {
      Floats rows[4][4];
#pragma GCC unroll 4
      for (int j = 0; j < 4; ++j) {
        const Floats d[4] = {at(pixels[0][j] + channel), at(pixels[1][j] + channel), at(pixels[2][j] + channel),
                             at(pixels[3][j] + channel)};
        rows[0][j] = d[0] - d[2];
        rows[1][j] = d[1] + d[2];
        rows[2][j] = d[2] - d[1];
        rows[3][j] = d[1] - d[3];
      }
#pragma GCC unroll 4
      for (int i = 0; i < 4; ++i) {
        float* const to = out + 4 * i * point + place;
        store(to, rows[i][0] - rows[i][2]);
        store(to + point, rows[i][1] + rows[i][2]);
        store(to + 2 * point, rows[i][2] - rows[i][1]);
        store(to + 3 * point, rows[i][1] - rows[i][3]);
      }
    });
  }
  clear(out, channels, count, length);
}

void within(const float* images, const float* none, size_t channels, Tiling tiling, size_t first, size_t count, size_t length,
            float* out) {
  const size_t point = length * channels;
  for (size_t index = 0; index < count; ++index) {
    const Tile tile(first + index, tiling);
    const float* pixels[2][2];
    for (size_t i = 0; i < 2; ++i) {
      for (size_t j = 0; j < 2; ++j) pixels[i][j] = tile.has(i, j, tiling) ? images + tile.pixel(i, j, tiling) * channels : none;
    }
    by_channels(channels, length, index, [&](size_t channel, size_t place) {
      Floats rows[4][2];
#pragma GCC unroll 2
      for (int j = 0; j < 2; ++j) {
        const Floats top = at(pixels[0][j] + channel), bottom = at(pixels[1][j] + channel);
        rows[0][j] = top;
        rows[1][j] = top + bottom;
        rows[2][j] = top - bottom;
        rows[3][j] = -bottom;
      }
#pragma GCC unroll 4
      for (int i = 0; i < 4; ++i) {
        float* const to = out + 4 * i * point + place;
        store(to, rows[i][0]);
        store(to + point, rows[i][0] + rows[i][1]);
        store(to + 2 * point, rows[i][0] - rows[i][1]);
        store(to + 3 * point, -rows[i][1]);
      }
    });
  }
  clear(out, channels, count, length);
}

void back(const float* matrices, float* spare, size_t channels, Tiling tiling, size_t first, size_t count, size_t length,
          float* images) {
  const size_t point = length * channels;
  for (size_t index = 0; index < count; ++index) {
    const Tile tile(first + index, tiling);
    float* pixels[2][2];
    for (size_t i = 0; i < 2; ++i) {
      for (size_t j = 0; j < 2; ++j) pixels[i][j] = tile.has(i, j, tiling) ? images + tile.pixel(i, j, tiling) * channels : spare;
    }
    by_channels(channels, length, index, [&](size_t channel, size_t place) {
      Floats rows[2][4];
#pragma GCC unroll 4
      for (int j = 0; j < 4; ++j) {
        const float* const from = matrices + j * point + place;
        const Floats m[4] = {at(from), at(from + 4 * point), at(from + 8 * point), at(from + 12 * point)};
        rows[0][j] = m[0] + m[1] + m[2];
        rows[1][j] = m[1] - m[2] - m[3];
      }
#pragma GCC unroll 2
      for (int i = 0; i < 2; ++i) {
        store(pixels[i][0] + channel, rows[i][0] + rows[i][1] + rows[i][2]);
        store(pixels[i][1] + channel, rows[i][1] - rows[i][2] - rows[i][3]);
      }
    });
  }
}

// PRODUCT_ROWS rows of two registers, to which products of `a` (one number for each row) and a row of a panel are added.
struct Sums {
  Floats low[PRODUCT_ROWS], high[PRODUCT_ROWS];

  template <typename Values>
  inline void add(const float* row, Values a) {
    const Floats first = at(row), second = at(row + LANES);
#pragma GCC unroll 8
    for (size_t i = 0; i < PRODUCT_ROWS; ++i) {
      const float value = a(i);
      low[i] += value * first;
      high[i] += value * second;
    }
  }
};

void product(const float* left, const float* right, size_t length, size_t inputs, size_t outputs, float* out) {
  for (size_t point = 0; point < POINTS; ++point) {
    for (size_t panel = 0; panel < outputs / PANEL; ++panel) {
      const float* const columns = right + (point * outputs + panel * PANEL) * inputs;
      for (size_t row = 0; row < length; row += PRODUCT_ROWS) {
        Sums sums = {};
        for (size_t from = 0; from < inputs / PANEL; ++from) {
          const float* const rows = left + ((point * inputs / PANEL + from) * length + row) * PANEL;
          for (size_t k = 0; k < PANEL; ++k) {
            sums.add(columns + (from * PANEL + k) * PANEL, [=](size_t i) { return rows[i * PANEL + k]; });
          }
        }
        float* const to = out + ((point * outputs / PANEL + panel) * length + row) * PANEL;
#pragma GCC unroll 8
        for (size_t i = 0; i < PRODUCT_ROWS; ++i) {
          store(to + i * PANEL, sums.low[i]);
          store(to + i * PANEL + LANES, sums.high[i]);
        }
      }
    }
  }
}

void add_transposed_product(const float* left, const float* right, size_t length, size_t inputs, size_t outputs, float* sum) {
  for (size_t point = 0; point < POINTS; ++point) {
    for (size_t panel = 0; panel < outputs / PANEL; ++panel) {
      const float* const columns = right + (point * outputs / PANEL + panel) * length * PANEL;
      for (size_t row = 0; row < inputs; row += PRODUCT_ROWS) {
        const float* const rows = left + (point * inputs / PANEL + row / PANEL) * length * PANEL + row % PANEL;
        float* const to = sum + ((point * outputs + panel * PANEL) * inputs) + row * PANEL;
        Sums sums = {};
        for (size_t k = 0; k < length; ++k) sums.add(columns + k * PANEL, [=](size_t i) { return rows[k * PANEL + i]; });
#pragma GCC unroll 8
        for (size_t i = 0; i < PRODUCT_ROWS; ++i) {
          store(to + i * PANEL, at(to + i * PANEL) + sums.low[i]);
          store(to + i * PANEL + LANES, at(to + i * PANEL + LANES) + sums.high[i]);
        }
      }
    }
  }
}

}  // namespace

namespace convoy {
extern const WinogradKernels CONVOY_KERNELS = {around, within, back, product, add_transposed_product};
}
