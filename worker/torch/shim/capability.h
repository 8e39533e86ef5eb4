// Which instruction set kernels are taken from: as libtorch chose its own, ATEN_CPU_CAPABILITY included, so that all of a machine's
// numbers come from one.
#pragma once
#include <ATen/Version.h>

#include <string>

namespace convoy {

enum class Capability { BASELINE, AVX2, AVX512 };

inline Capability capability() {
#ifdef CONVOY_X86
  static const Capability chosen = [] {
    const std::string name = at::get_cpu_capability();
    if (name == "AVX512") return Capability::AVX512;
    return name == "AVX2" ? Capability::AVX2 : Capability::BASELINE;
  }();
  return chosen;
#else
  return Capability::BASELINE;
#endif
}

}  // namespace convoy
