// The table of random fills and dropout: all are functions of a key and a range of counters.
#pragma once
#include <cstdint>

#include "table.h"

namespace fd {
constexpr int64_t kRandomCounters = 16;  // counters of a group
constexpr int64_t kRandomGroup = 64;     // numbers made by a group: words, or
constexpr int64_t kRandomPairs = 32;     // pairs of words, for what needs 64 bits

struct RandomStrip {
  const void* x;  // what dropout scales, or probabilities
  void* y;
  int64_t count;
  uint64_t counter, key;
  double a, b;  // low and high, mean and deviation, or the probability to drop and the scale
};

struct RandomKernels {  // float, double
  void (*uniform[2])(const RandomStrip&);
  void (*normal[2])(const RandomStrip&);
  void (*bernoulli[2])(const RandomStrip&);
  void (*dropout[2])(const RandomStrip&);
};
}  // namespace fd
FD_DECLARE_TABLE(RandomKernels, random)
