// Compiled for each instruction set; CONVOY_KERNELS is the table's name in it. See the header.
#include "fixed_point_kernels.h"

namespace {

constexpr size_t LANES = 16;
typedef float Floats __attribute__((vector_size(4 * LANES)));
typedef int32_t Ints __attribute__((vector_size(4 * LANES)));

// As many values as a register holds, or a single one where fewer are left.
struct Wide {
  using F = Floats;
  using I = Ints;
  static I to_ints(F values) { return __builtin_convertvector(values, I); }
  static F to_floats(I values) { return __builtin_convertvector(values, F); }
};
struct Single {
  using F = float;
  using I = int32_t;
  static I to_ints(F value) { return static_cast<I>(value); }
  static F to_floats(I value) { return static_cast<F>(value); }
};

template <typename To, typename From>
inline To bits(From from) {
  static_assert(sizeof(To) == sizeof(From), "the same bits");
  To to;
  __builtin_memcpy(&to, &from, sizeof to);
  return to;
}
template <typename V>
inline V load(const float* from) {
  V value;
  __builtin_memcpy(&value, from, sizeof value);
  return value;
}
template <typename V>
inline void store(float* to, V value) {
  __builtin_memcpy(to, &value, sizeof value);
}

constexpr int32_t WITHOUT_SIGN = 0x7fffffff;
// 2^23: from here on every f32 is a whole number.
constexpr float WHOLE = 8388608.0f;
constexpr int32_t WHOLE_BITS = 0x4b000000;

// The nearest whole number, halves to even: adding 2^23 leaves no bits behind the point. A multiplication that the compiler fuses
// with this addition gives the same, since it is by a power of two.
template <typename W>
inline typename W::I rounded(typename W::F value) {
  using F = typename W::F;
  using I = typename W::I;
  const I pattern = bits<I>(value);
  const F shift = bits<F>((pattern & ~WITHOUT_SIGN) | WHOLE_BITS);
  const F size = bits<F>(pattern & WITHOUT_SIGN);
  const F near = (value + shift) - shift;
  return W::to_ints(size < WHOLE ? near : value);
}

// What is no number becomes the limit.
template <typename F>
inline F clamped(F value, F limit) {
  value = value < limit ? value : limit;
  return value > -limit ? value : -limit;
}

// Values at `i`: takes one portion in, and its magnitude into `largest`.
template <typename W, bool ADD>
inline void take(const float* values, float* sums, float scale, float limit, typename W::I& largest) {
  using F = typename W::F;
  using I = typename W::I;
  const F value = load<F>(values);
  const I size = bits<I>(value) & WITHOUT_SIGN;
  largest = size > largest ? size : largest;
  I sum = rounded<W>(clamped<F>(value * scale, F{} + limit));
  if (ADD) sum += load<I>(sums);
  store(sums, sum);
}

template <bool ADD>
uint32_t take_all(const float* values, float* sums, size_t count, float scale, float limit) {
  Ints wide = {};
  int32_t largest = 0;
  size_t i = 0;
  for (; i + LANES <= count; i += LANES) take<Wide, ADD>(values + i, sums + i, scale, limit, wide);
  for (; i < count; ++i) take<Single, ADD>(values + i, sums + i, scale, limit, largest);
  for (size_t lane = 0; lane < LANES; ++lane) largest = wide[lane] > largest ? wide[lane] : largest;
  return static_cast<uint32_t>(largest);
}

void to_floats(float* sums, size_t count, float scale) {
  size_t i = 0;
  for (; i + LANES <= count; i += LANES) store(sums + i, Wide::to_floats(load<Ints>(sums + i)) * scale);
  for (; i < count; ++i) store(sums + i, Single::to_floats(load<int32_t>(sums + i)) * scale);
}

}  // namespace

namespace convoy {
extern const FixedPointKernels CONVOY_KERNELS = {take_all<false>, take_all<true>, to_floats};
}  // namespace convoy
