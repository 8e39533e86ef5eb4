// Takes gradients from backward before they become a `.grad`, over the kernels of fixed_point_kernels.h.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/function_hook.h>
#include <torch/csrc/autograd/variable.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

#include "capability.h"
#include "fixed_point_kernels.h"
#include "guarded.h"
#include "shim.h"

namespace {

using torch::autograd::variable_list;

const convoy::FixedPointKernels& kernels() {
#ifdef CONVOY_X86
  if (convoy::capability() == convoy::Capability::AVX512) return convoy::fixed_point_avx512;
  if (convoy::capability() == convoy::Capability::AVX2) return convoy::fixed_point_avx2;
#endif
  return convoy::fixed_point_baseline;
}

// Whether the values of both lie in the same order; where a dimension has one value its stride means nothing.
bool lie_alike(const at::Tensor& one, const at::Tensor& other) {
  for (int64_t axis = 0; axis < one.dim(); ++axis) {
    if (one.size(axis) != 1 && one.stride(axis) != other.stride(axis)) return false;
  }
  return true;
}

}  // namespace

struct convoy_fixed_sums {
  struct Place {
    at::Tensor memory;
    // A tensor holds its accumulator weakly: without this owner the hook would vanish with the first graph.
    std::shared_ptr<torch::autograd::Node> accumulator;
    float scale = 1.0f, inverse = 1.0f;
    std::atomic<uint32_t> magnitude{0};
    // Nothing was added yet: what the memory holds is older.
    bool fresh = true;

    Place(at::Tensor memory, std::shared_ptr<torch::autograd::Node> accumulator)
        : memory(std::move(memory)), accumulator(std::move(accumulator)) {}

    float* sums() const { return memory.data_ptr<float>(); }
    size_t count() const { return memory.numel(); }
  };

  struct Take final : torch::autograd::FunctionPreHook {
    Take(const convoy_fixed_sums& owner, Place& place) : owner(owner), place(place) {}

    variable_list operator()(const variable_list& gradients) override {
      if (!gradients.empty() && gradients[0].defined()) owner.take(place, gradients[0]);
      // Nothing is left to accumulate.
      return variable_list(1);
    }

    const convoy_fixed_sums& owner;
    Place& place;
  };

  // Places stay where they are: hooks point to them.
  std::vector<std::unique_ptr<Place>> places;
  float limit = 0.0f;

  void add(at::Tensor parameter, at::Tensor memory) {
    auto accumulator = torch::autograd::impl::grad_accumulator(parameter);
    TORCH_CHECK(accumulator != nullptr, "parameter ", places.size(), " takes no gradient");
    TORCH_CHECK(memory.scalar_type() == at::kFloat && memory.device().is_cpu(), "sums need f32 memory on a CPU");
    TORCH_CHECK(memory.is_non_overlapping_and_dense() && memory.sizes() == parameter.sizes(),
                "the gradient of a parameter of ", parameter.sizes(), " in ", memory.sizes());
    places.push_back(std::make_unique<Place>(std::move(memory), accumulator));
    accumulator->add_pre_hook(std::make_unique<Take>(*this, *places.back()));
  }

  ~convoy_fixed_sums() {
    for (const auto& place : places) {
      auto& hooks = place->accumulator->pre_hooks();
      const auto is_ours = [&](const auto& hook) {
        const auto* take = dynamic_cast<const Take*>(hook.get());
        return take != nullptr && &take->owner == this;
      };
      hooks.erase(std::remove_if(hooks.begin(), hooks.end(), is_ours), hooks.end());
    }
  }

  void take(Place& place, const at::Tensor& gradient) const {
    TORCH_CHECK(gradient.scalar_type() == at::kFloat && gradient.device().is_cpu() && gradient.layout() == at::kStrided &&
                    gradient.sizes() == place.memory.sizes(),
                "a gradient of ", gradient.sizes(), " ", gradient.scalar_type(), " for sums of ", place.memory.sizes());
    at::NoGradGuard no_grad;
    at::Tensor values = gradient;
    if (!lie_alike(values, place.memory)) {
      values = at::empty_strided(place.memory.sizes(), place.memory.strides(), values.options());
      values.copy_(gradient);
    }
    const float* const from = values.const_data_ptr<float>();
    float* const to = place.sums();
    const auto kernel = place.fresh ? kernels().set : kernels().add;
    place.fresh = false;
    at::parallel_for(0, place.count(), at::internal::GRAIN_SIZE, [&](int64_t begin, int64_t end) {
      const uint32_t found = kernel(from + begin, to + begin, end - begin, place.scale, limit);
      uint32_t known = place.magnitude.load(std::memory_order_relaxed);
      while (known < found && !place.magnitude.compare_exchange_weak(known, found, std::memory_order_relaxed)) {
      }
    });
  }
};

extern "C" {

char* convoy_fixed_sums_new(at::Tensor* const* parameters, at::Tensor* const* places, size_t count, convoy_fixed_sums** out) {
  return convoy::guarded([&] {
    auto sums = std::make_unique<convoy_fixed_sums>();
    for (size_t index = 0; index < count; ++index) sums->add(*parameters[index], *places[index]);
    *out = sums.release();
  });
}

void convoy_fixed_sums_free(convoy_fixed_sums* sums) { delete sums; }

void convoy_fixed_sums_begin(convoy_fixed_sums* sums, const int32_t* exponents, float limit) {
  sums->limit = limit;
  for (size_t index = 0; index < sums->places.size(); ++index) {
    auto& place = *sums->places[index];
    place.scale = std::ldexp(1.0f, exponents[index]);
    place.inverse = std::ldexp(1.0f, -exponents[index]);
    place.magnitude.store(0, std::memory_order_relaxed);
    place.fresh = true;
  }
}

void convoy_fixed_sums_complete(convoy_fixed_sums* sums) {
  for (const auto& place : sums->places) {
    if (std::exchange(place->fresh, false)) std::memset(place->sums(), 0, place->count() * sizeof(float));
  }
}

void convoy_fixed_sums_magnitudes(const convoy_fixed_sums* sums, int32_t* out) {
  for (const auto& place : sums->places) {
    *out++ = static_cast<int32_t>(place->magnitude.load(std::memory_order_relaxed));
  }
}

char* convoy_fixed_sums_to_floats(convoy_fixed_sums* sums) {
  return convoy::guarded([&] {
    for (const auto& place : sums->places) {
      float* const memory = place->sums();
      at::parallel_for(0, place->count(), at::internal::GRAIN_SIZE, [&](int64_t begin, int64_t end) {
        kernels().to_floats(memory + begin, end - begin, place->inverse);
      });
    }
  });
}

}  // extern "C"
