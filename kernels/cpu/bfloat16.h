// float32 <-> bfloat16 (as uint16), contiguous runs of n elements. Made for avx512_bf16 only.
#pragma once
#include <cstdint>

namespace fd {
struct Bfloat16Kernels {
  void (*narrow)(const float* x, uint16_t* out, int64_t n);
  void (*widen)(const uint16_t* x, float* out, int64_t n);
};
#if defined(__x86_64__)
namespace avx512_bf16 {
extern const Bfloat16Kernels bfloat16;
}
#endif
}  // namespace fd
