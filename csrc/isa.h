// Which instruction set runs, and the choice of a family's table by it (kernels/cpu/table.h).
#pragma once
#include <atomic>

#include "../kernels/cpu/table.h"

namespace fd {
enum class Isa : int { baseline = 0, avx2 = 1, avx512 = 2, avx512_bf16 = 3 };

Isa isa();                      // the one in use
Isa best_isa();                 // the widest this machine runs (CPU and OS probed once at import)
bool isa_runs(Isa isa);         // can this machine run it?
void set_isa(Isa isa);          // throws std::invalid_argument when it cannot run here
const char* isa_name(Isa isa);  // "baseline", "avx2", "avx512", "avx512_bf16"

// The widest instruction set whose table was picked since `forget_isa`, for the checker's
// certificate. Written only when it grows, so that threads do not pass its cache line around.
extern std::atomic<int> picked_isa;  // −1: none
inline void note_isa(Isa isa) {
  if (picked_isa.load(std::memory_order_relaxed) < static_cast<int>(isa)) {
    picked_isa.store(static_cast<int>(isa), std::memory_order_relaxed);
  }
}

// Families without a unit for avx512_bf16 run their avx512 table there.
template <class Table>
const Table* pick(const Table* baseline, const Table* avx2, const Table* avx512,
                  const Table* avx512_bf16 = nullptr) {
  switch (isa()) {
    case Isa::baseline:
      note_isa(Isa::baseline);
      return baseline;
    case Isa::avx2:
      note_isa(Isa::avx2);
      return avx2;
    default:
      if (avx512_bf16 && isa() == Isa::avx512_bf16) {
        note_isa(Isa::avx512_bf16);
        return avx512_bf16;
      }
      note_isa(Isa::avx512);
      return avx512;
  }
}
}  // namespace fd
