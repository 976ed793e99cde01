// Which instruction sets this machine runs, and the one in use.
#include "isa.h"

#include <atomic>
#include <initializer_list>
#include <stdexcept>
#include <string>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace fd {
namespace {

constexpr const char* kNames[] = {"baseline", "avx2", "avx512", "avx512_bf16"};

#if defined(__x86_64__)
struct Cpuid {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  Cpuid(unsigned leaf, unsigned subleaf) {
    __get_cpuid_count(leaf, subleaf, &eax, &ebx, &ecx, &edx);
  }
};

bool has(unsigned reg, std::initializer_list<int> bits) {
  for (int bit : bits) {
    if (!(reg >> bit & 1)) return false;
  }
  return true;
}

// The CPU must have the instructions and the OS must save the registers (XCR0). Read from CPUID
// itself: compilers differ in which names __builtin_cpu_supports knows.
Isa probe() {
  const Cpuid one(1, 0), seven(7, 0), seven_one(7, 1), extended(0x80000001u, 0);
  const bool osxsave = has(one.ecx, {27});
  unsigned xcr0 = 0;
  if (osxsave) {
    unsigned high;
    __asm__("xgetbv" : "=a"(xcr0), "=d"(high) : "c"(0));
  }
  // x86-64-v3: FMA, MOVBE, AVX, F16C; LZCNT; BMI1, AVX2, BMI2; XMM and YMM state.
  const bool avx2 = has(one.ecx, {12, 22, 28, 29}) && has(extended.ecx, {5}) &&
                    has(seven.ebx, {3, 5, 8}) && has(xcr0, {1, 2});
  if (!avx2) return Isa::baseline;
  // F, DQ, CD, BW, VL; opmask and ZMM state.
  if (!has(seven.ebx, {16, 17, 28, 30, 31}) || !has(xcr0, {5, 6, 7})) return Isa::avx2;
  // VNNI; BF16.
  return has(seven.ecx, {11}) && has(seven_one.eax, {5}) ? Isa::avx512_bf16 : Isa::avx512;
}
#else
Isa probe() { return Isa::baseline; }
#endif

std::atomic<Isa> current{best_isa()};

}  // namespace

std::atomic<int> picked_isa{-1};

Isa best_isa() {
  static const Isa best = probe();
  return best;
}

Isa isa() { return current.load(std::memory_order_relaxed); }

bool isa_runs(Isa isa) { return isa <= best_isa(); }

const char* isa_name(Isa isa) { return kNames[static_cast<int>(isa)]; }

void set_isa(Isa isa) {
  if (!isa_runs(isa)) {
    throw std::invalid_argument(std::string("this machine cannot run ") + isa_name(isa) +
                                "; the widest it runs is " + isa_name(best_isa()));
  }
  current.store(isa, std::memory_order_relaxed);
}

}  // namespace fd
