// The table of CTC, one sequence at a time.
#pragma once
#include <cstdint>

#include "table.h"

namespace fd {
// Log-probabilities x[t, c] of `time` steps; strides in elements.
struct CtcStrip {
  const void* x;
  int64_t time, xt, xc;
  const int64_t* target;  // `length` classes, adjacent
  int64_t length, blank;
  int64_t* labels;  // 2 length + 1 places, for the kernel
  void* work;       // ctc_work(...) elements
  void* loss;       // ctc_loss: one
  void* dx;         // ctc_loss_backward: rows dt apart of `classes` adjacent ones
  int64_t dt, classes;
  double divisor;  // of the loss
  double scale;    // of the gradient
  bool zero_infinity;
};

// A row of places: two of -inf before them, at least sixteen after.
static inline int64_t ctc_row(int64_t length) { return (2 * length + 1 + 15) / 16 * 16 + 32; }
static inline int64_t ctc_work(int64_t time, int64_t length, bool backward) {
  return ctc_row(length) * (backward ? time + 5 : 5);
}

struct CtcKernels {  // float, double
  void (*loss[2])(const CtcStrip&);
  void (*backward[2])(const CtcStrip&);
};
}  // namespace fd
FD_DECLARE_TABLE(CtcKernels, loss_ctc)
