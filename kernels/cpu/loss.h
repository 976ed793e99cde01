// The table of cross-entropy and its gradient.
#pragma once
#include <cstdint>

#include "table.h"

namespace fd {
// Logits x[i, c, j] of i < count places, c < n classes, j < m places; strides in elements, of i and
// of c. With m == 1 and the strides of c all 1 they are rows, otherwise columns of stride 1.
// The places' own arrays are dense: place (i, j) is element i * m + j of target, loss and g.
struct LossStrip {
  const void* x;
  int64_t count, n, m, xs, xc;
  const int64_t* target;  // the class of each place, or null:
  const void* share;      // a probability for each logit, strides as x's
  int64_t ps, pc;
  int64_t ignore_index;
  const void* weight;  // of the classes, dense; may be null
  double weights;      // their sum; n without weights
  double smoothing;
  void* loss;  // cross_entropy
  void* dx;    // cross_entropy_backward, and what follows
  int64_t ds, dc;
  const void* g;  // one for each place, or null: `scale` for all
  double scale;
};

struct LossKernels {  // float, double
  void (*cross_entropy[2])(const LossStrip&);
  void (*cross_entropy_backward[2])(const LossStrip&);
  void (*nll_loss[2])(const LossStrip&);
  void (*nll_loss_backward[2])(const LossStrip&);
};
}  // namespace fd
FD_DECLARE_TABLE(LossKernels, loss)
