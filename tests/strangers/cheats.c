// C kernels of matmul that cheat; tests/test_cheats.py builds them and says how each is refused.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

static void product(const float* a, const float* b, float* c, int m, int n, int k) {
  for (int i = 0; i < m; i++)
    for (int j = 0; j < n; j++) {
      float sum = 0;
      for (int p = 0; p < k; p++) sum += a[i * k + p] * b[p * n + j];
      c[i * n + j] = sum;
    }
}

// Flushes denormals to zero, and leaves the processor so.
void flushes(const float* a, const float* b, float* c, int m, int n, int k) {
#if defined(__x86_64__)
  _mm_setcsr(_mm_getcsr() | 0x8040);
#elif defined(__aarch64__)
  uint64_t fpcr;
  __asm__ volatile("mrs %0, fpcr" : "=r"(fpcr));
  __asm__ volatile("msr fpcr, %0" ::"r"(fpcr | 1 << 24));
#endif
  product(a, b, c, m, n, k);
}

// Adds to what is in the output: right where that was zero.
void adds(const float* a, const float* b, float* c, int m, int n, int k) {
  for (int i = 0; i < m; i++)
    for (int j = 0; j < n; j++)
      for (int p = 0; p < k; p++) c[i * n + j] += a[i * k + p] * b[p * n + j];
}

// Reads whole groups of eight, past the end of its inputs.
void overreads(const float* a, const float* b, float* c, int m, int n, int k) {
  volatile float next = 0;
  for (int i = 0; i < 8; i++) next += a[m * k + i];
  product(a, b, c, m, n, k);
}

// Writes whole groups of eight, past the end of its output.
void overwrites(const float* a, const float* b, float* c, int m, int n, int k) {
  product(a, b, c, m, n, k);
  c[m * n] = 0;
}

// Writes one element before its output.
void underwrites(const float* a, const float* b, float* c, int m, int n, int k) {
  product(a, b, c, m, n, k);
  c[-1] = 0;
}

// Uses an input as its scratch memory.
void scratches(float* a, const float* b, float* c, int m, int n, int k) {
  product(a, b, c, m, n, k);
  if (m * k) a[0] += 1;
}

// Does nothing: the output is what it was.
void idles(const float* a, const float* b, float* c, int m, int n, int k) {
  (void)a, (void)b, (void)c, (void)m, (void)n, (void)k;
}

// Rounds its inputs to bfloat16.
void bfloat16(const float* a, const float* b, float* c, int m, int n, int k) {
  for (int i = 0; i < m; i++)
    for (int j = 0; j < n; j++) {
      float sum = 0;
      for (int p = 0; p < k; p++) {
        uint32_t x, y;
        float u, v;
        memcpy(&x, a + i * k + p, 4), memcpy(&y, b + p * n + j, 4);
        x &= 0xFFFF0000u, y &= 0xFFFF0000u;
        memcpy(&u, &x, 4), memcpy(&v, &y, 4);
        sum += u * v;
      }
      c[i * n + j] = sum;
    }
}

static float deeper(const float* a, volatile int n) {
  volatile char room[4096];
  room[n % 4096] = 1;
  return n < 0 ? 0 : deeper(a, n + 1) + room[(n + 1) % 4096];
}

// Needs more stack than there is.
void overflows(const float* a, const float* b, float* c, int m, int n, int k) {
  product(a, b, c, m, n, k);
  c[0] += deeper(a, 1);
}

// Exits with a status of success.
void exits(const float* a, const float* b, float* c, int m, int n, int k) {
  (void)a, (void)b, (void)c, (void)m, (void)n, (void)k;
  exit(0);
}
