// The two ceilings of the machine, measured: fused multiply-adds a second, bytes read a second.
#pragma once
#include <stdint.h>

#include "table.h"

struct RooflineKernels {
  // 2 · lanes · chains · iterations floating-point operations on registers; returns how many.
  double (*fma_f32)(int64_t iterations, float* sink);
  double (*fma_f64)(int64_t iterations, double* sink);
  // The same of bfloat16 pairs and of bytes in fours; null where no instruction does that.
  double (*dot_bf16)(int64_t iterations);
  double (*dot_int8)(int64_t iterations);
  // Sums n floats with enough loads in flight to meet the memory's limit.
  float (*read_f32)(const float* x, int64_t n);
};
FD_DECLARE_WIDE_TABLE(RooflineKernels, roofline)
