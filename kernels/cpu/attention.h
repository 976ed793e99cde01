// The table of what attention does to a block of scores between the products.
#pragma once
#include <cstdint>

#include "table.h"

namespace fd {
// scores[i * ld + j] of queries i < rows and keys j < columns; columns - 1 + 15 may be written.
struct ScoreBlock {
  void* scores;
  int64_t ld;
  int64_t rows, columns;
  double scale;
  const void* mask;               // what is added, or none
  int64_t mask_row, mask_column;  // mask_column is 0 or 1
  int64_t diagonal;               // key j is visible to query i if j <= i + diagonal
  // Dropout: row i of the block takes its words from counter + i * row_counters on.
  bool drops;
  uint64_t counter, key, row_counters;
  double p, keep;  // the probability to drop, and the factor of what is kept
};

struct AttentionForward {
  ScoreBlock block;
  void *top, *sum;  // of each row, so far
  void* y;          // rows of `width`, brought down to the new top
  int64_t ldy, width;
};

struct AttentionBackward {
  ScoreBlock block;
  void* products;          // g v^T in, the gradients of the scores out; the scores: probabilities
  const void *lse, *dots;  // of each row: log of the sum of its exponentials, sum of g y
};

// c[i] (+)= sum over seen j of a[i, j] b[j], a like the scores; or c[j] (+)= sum over i of
// a[i, j] b[i].
struct AttentionProduct {
  ScoreBlock block;
  const void *a, *b;
  int64_t ldb;
  void* c;
  int64_t ldc, n;
  bool transposed, accumulate;
};

struct AttentionRows {
  const void *x, *g;
  int64_t ldx, ldg, rows, width;
  void* y;  // finish: rows, ldy apart; dots: a number a row
  int64_t ldy;
  const void *top, *sum;
  void* lse;
};

struct AttentionKernels {  // float, double
  void (*forward[2])(const AttentionForward&);
  void (*backward[2])(const AttentionBackward&);
  void (*finish[2])(const AttentionRows&);  // y = x / sum, lse = top + log sum
  void (*dots[2])(const AttentionRows&);    // y = sum of g x over a row
  void (*careful[2])(const AttentionProduct&);
  bool (*finite[2])(const AttentionRows&);  // are all of x?
};
}  // namespace fd
FD_DECLARE_TABLE(AttentionKernels, attention)
