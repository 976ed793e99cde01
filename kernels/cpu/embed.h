// The table of what embedding's gradient needs: sums of rows picked by their places.
#pragma once
#include <cstdint>

#include "table.h"

namespace fd {
// out[j] = scale * (rows[place[0] * stride + j] + rows[place[1] * stride + j] + ...), j < n
struct RowSum {
  const void* rows;
  int64_t stride;
  const int64_t* place;
  int64_t count;
  double scale;
  void* out;
  int64_t n;
};

struct EmbedKernels {  // float, double
  void (*sum_rows[2])(const RowSum&);
};
}  // namespace fd
FD_DECLARE_TABLE(EmbedKernels, embed)
