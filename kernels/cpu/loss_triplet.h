// The table of the triplet margin loss.
#pragma once
#include <cstdint>

#include "table.h"

namespace fd {
// `count` dense rows of n elements of the anchor a, of b (positive), c (negative) and their
// gradients; one element each of y.
struct TripletStrip {
  const void *a, *b, *c;
  const void* g;  // backward: one element a row, or null for `scale` in all of them
  void *y, *da, *db, *dc;
  int64_t count, n;
  double margin, p, eps, scale;
  bool swap;
};

struct TripletKernels {  // float, double
  void (*loss[2])(const TripletStrip&);
  void (*backward[2])(const TripletStrip&);
};
}  // namespace fd
FD_DECLARE_TABLE(TripletKernels, loss_triplet)
