// The tile and the packing of bfloat16 products, with sums in float32. Numbers are raw bits.
#pragma once
#include <cstdint>

#include "table.h"

namespace fd {
// Where a tile's sums come from and go to. The float32 sums of a block of k wait in `sums` for the
// next block; the last one rounds them, once, to bfloat16.
struct Bf16Target {
  float* sums;  // not touched by a block that is first and last
  int64_t sums_stride;
  bool first, last;
  uint16_t* c;
  int64_t c_stride;
  const float* column_bias;  // added by the last block; nullptr: none
};

struct MatmulBf16Kernels {
  int mr, nr;  // the largest tile: rows and columns of C

  // c[i * c_stride + j] = rounded( sum over k of a[i, k] * b[k, j] + column_bias[j] ),
  // i < m <= mr, j < n, from a packed panel of A and those of B, back to back (matmul_words.h), of
  // 2 * words terms. `wide` numbers (see `pack`) are multiplied as float32.
  void (*tiles)(int64_t words, const uint32_t* a, const uint32_t* b, bool wide, int m, int64_t n,
                const Bf16Target& target);

  // Packs panels and returns the biased exponent of the least number in them that is not 0 (0 if
  // it is denormal, 511 if there is none).
  //
  // vdpbf16ps takes denormal numbers for 0 and makes 0 of denormal sums. Neither can happen where
  // the exponents of two panels, both above 0, add up to kNoUnderflow or more: every product is a
  // multiple of 2^-126 then, so every sum is too. Other pairs of panels are `wide`.
  int (*pack)(int64_t k_size, int count, const uint16_t* source, int64_t w_stride, int64_t k_stride,
              uint32_t* panels, int width);

  // m <= kFewBf16Rows rows and any n, with B in place and all of k at once.
  // c[i * c_row + j * c_column] = rounded( sum over k of a[i, k] * b[j * ldb + k] + bias[j] ).
  // `a` holds the even, then the odd k of each row as float32: row i at a + i * lda, the odd ones
  // lda / 2 on, padded with 0 to a multiple of 16 each.
  void (*dot)(int64_t k_size, const float* a, int64_t lda, const uint16_t* b, int64_t ldb,
              uint16_t* c, int64_t c_row, int64_t c_column, int m, int64_t n, const float* bias);
  // c[i * c_stride + j] =
  //     rounded( sum over k of a[i * row_stride + k * k_stride] * b[k * ldb + j] + bias[j] ).
  void (*sweep)(int64_t k_size, const uint16_t* a, int64_t row_stride, int64_t k_stride,
                const uint16_t* b, int64_t ldb, uint16_t* c, int64_t c_stride, int m, int64_t n,
                const float* bias);
};
constexpr int kFewBf16Rows = 4;
constexpr int kNoUnderflow = 2 * (127 + 7) - 126;
}  // namespace fd

FD_DECLARE_WIDE_TABLE(MatmulBf16Kernels, matmul_bf16)
