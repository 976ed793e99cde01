// The thread pool: fork-join over chunks, caller takes part, GIL never held by a chunk.
#pragma once
#include <cstdint>
#include <type_traits>

namespace fd {
int num_threads();
void set_num_threads(int n);

// Rounding, flush-to-zero and exception-mask bits of the calling thread (MXCSR, FPCR); the sticky
// flags left out.
unsigned float_mode();

// Below this much estimated work a parallel region is not worth its fork-join.
constexpr double kSerialNanoseconds = 10e3;

// Runs body(context, i) once for each i in [0, chunks), on this thread alone when `nanoseconds` of
// estimated total work is small (a thread takes part for every 5 us of it), the pool is busy, or
// the call is nested. Chunks are handed out dynamically, so a chunk's result must not depend on
// which thread runs it, and a chunk must not wait for another: they may run one after the other.
// Workers take the caller's rounding and flush-to-zero modes. An exception in a chunk drops the
// chunks not yet begun and is thrown here after every thread has left. Between chunks the caller
// looks for Ctrl-C (so keep a chunk below ~50 ms), which ends the job in the same way, as
// py::error_already_set.
// Call it without the GIL (`py::gil_scoped_release`) unless the work is below kSerialNanoseconds.
void parallel_run(int64_t chunks, double nanoseconds, void (*body)(void*, int64_t), void* context);

template <class F>
void parallel_for(int64_t chunks, double nanoseconds, F&& body) {
  using Body = std::remove_reference_t<F>;
  parallel_run(
      chunks, nanoseconds, [](void* f, int64_t i) { (*static_cast<Body*>(f))(i); },
      const_cast<void*>(static_cast<const void*>(&body)));
}
}  // namespace fd
