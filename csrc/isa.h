// Which instruction set runs, and the choice of a family's table by it (kernels/cpu/table.h).
#pragma once
#include "../kernels/cpu/table.h"

namespace fd {
enum class Isa : int { baseline = 0, avx2 = 1, avx512 = 2, avx512_bf16 = 3 };

Isa isa();                      // the one in use
Isa best_isa();                 // the widest this machine runs (CPU and OS probed once at import)
bool isa_runs(Isa isa);         // can this machine run it?
void set_isa(Isa isa);          // throws std::invalid_argument when it cannot run here
const char* isa_name(Isa isa);  // "baseline", "avx2", "avx512", "avx512_bf16"

// avx512_bf16 adds units of its own for bfloat16; every other family runs its avx512 table there.
template <class Table>
const Table* pick(const Table* baseline, const Table* avx2, const Table* avx512) {
  switch (isa()) {
    case Isa::baseline:
      return baseline;
    case Isa::avx2:
      return avx2;
    default:
      return avx512;
  }
}
}  // namespace fd
