// The tables of the optimisers' steps, and of what is done to all gradients together.
#pragma once
#include <cstdint>

#include "table.h"

namespace fd {
constexpr int kStates = 3;

// Each rule reads the numbers it has a use for.
struct StepOptions {
  double lr, momentum, dampening, beta1, beta2, eps, weight_decay, lr_decay;
  double rate, root;  // of this very step, made of the others and its number
  bool nesterov, maximize, decoupled;
};

// A stretch of one parameter. A state that the rule has none of is null, as is one not yet there.
struct StepStrip {
  const void *p, *g, *state[kStates];
  void *p_out, *state_out[kStates];  // may be exactly the inputs
  int64_t n;
  const StepOptions* options;
};

enum class Rule { sgd, adam, rmsprop, adagrad, lion, ema };

struct OptimKernels {  // of float, double
  void (*step[6][2])(const StepStrip&);
  double (*sum_of_squares[2])(const void* x, int64_t n);
  double (*sum_of_sizes[2])(const void* x, int64_t n);
  double (*largest_size[2])(const void* x, int64_t n);  // NaN wins
  void (*scale[2])(void* x, int64_t n, double factor, double);
  void (*clamp[2])(void* x, int64_t n, double least, double most);
};
}  // namespace fd
FD_DECLARE_TABLE(OptimKernels, optim)
