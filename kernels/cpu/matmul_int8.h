// The tile and the packing of products of 8-bit integers, with sums in int32, mod 2^32.
//
// vpdpbusd multiplies unsigned bytes by signed ones, so packed A is unsigned and packed B signed:
// int8 of A and uint8 of B are stored with their sign bit flipped, which adds or subtracts 128.
// That and the zero points are what the last block of a sum takes back:
//   sum of (a - za)(b - zb) = sum of a b - za * (sum of b) - zb * (sum of a - k za)
#pragma once
#include <cstdint>

#include "table.h"

namespace fd {
// Where a tile's sums come from and go to.
struct Int8Target {
  int32_t* sums;  // of this block of k and those before; not touched if first and last, and scaled
  int64_t sums_stride;
  bool first, last;
  // For the last block; za and zb count the flipped sign bits. nullptr: all 0.
  const int32_t* row_zero;     // za[m]; nullptr where it is in column_sums
  const int32_t* row_rest;     // sum of a - k za, [m]; there if column_zero is
  const int32_t* column_zero;  // zb[n]
  const int32_t* column_sums;  // sum of b, [n]; za times that if za is the same for all rows
  // c = sums * column_scale + column_bias, if column_scale; else the sums are the result.
  const float* column_scale;
  const float* column_bias;  // nullptr: none
  float* c;
  int64_t c_stride;
};

struct MatmulInt8Kernels {
  int mr, nr;  // the largest tile: rows and columns of C

  // m <= mr rows and n columns from a packed panel of A and those of B, back to back
  // (matmul_words.h), of 4 * words terms.
  void (*tiles)(int64_t words, const uint32_t* a, const uint32_t* b, int m, int64_t n,
                const Int8Target& target);
  // Packs panels; `flip` is xored onto four bytes.
  void (*pack)(int64_t k_size, int count, const uint8_t* source, int64_t w_stride, int64_t k_stride,
               uint32_t flip, uint32_t* panels, int width);
  // sums[w] += the bytes of column w < count of a panel, signed if it is one of B.
  void (*add_up)(int64_t words, const uint32_t* panel, int width, int count, bool is_signed,
                 int32_t* sums);
};
}  // namespace fd

FD_DECLARE_WIDE_TABLE(MatmulInt8Kernels, matmul_int8)
