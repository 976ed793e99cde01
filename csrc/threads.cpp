// The thread pool.
//
// One job at a time, published as a word of state: the job's number, the seats still free in it and
// the workers sitting in it. A worker joins by taking a seat, so the caller waits only for workers
// that did join, never for one that is asleep or preempted. Chunks are taken from a shared counter.
// Idle workers spin for 50 us (a fork-join then costs some 0.2 us), then sleep on a futex.
#include "threads.h"

#include <linux/futex.h>
#include <pthread.h>
#include <pybind11/pybind11.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <climits>
#include <cstdlib>
#include <exception>
#include <mutex>
#include <new>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

namespace fd {
namespace {
namespace py = pybind11;
using Clock = std::chrono::steady_clock;

constexpr auto kSpin = std::chrono::microseconds(50);
constexpr auto kSignalPeriod = std::chrono::milliseconds(20);
constexpr double kNanosecondsPerThread = kSerialNanoseconds / 2;  // less does not pay for a wake-up
constexpr int kSpinsBeforeYield = 128;                            // 3 to 10 us
constexpr int kWakes =
    2;  // sleepers the caller wakes, and each worker in turn while seats are free
constexpr int kMostThreads = 4096;

void pause() {
#if defined(__x86_64__)
  _mm_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

// Workers take the caller's mode, so that the result does not depend on which thread computes it.
void set_float_mode(unsigned mode) {
  if (float_mode() == mode) return;
#if defined(__x86_64__)
  _mm_setcsr(mode);
#elif defined(__aarch64__)
  __asm__ volatile("msr fpcr, %0" ::"r"(uint64_t{mode}));
#endif
}

thread_local bool inside = false;  // in a parallel region, or a worker

int cores() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) return std::max(1, CPU_COUNT(&set));
  return std::max(1u, std::thread::hardware_concurrency());
}

int threads_wanted() {
  if (const char* text = std::getenv("FASTDL_NUM_THREADS"); text && *text) {
    char* end;
    const long n = std::strtol(text, &end, 10);
    if (*end || n < 1 || n > kMostThreads) {
      throw std::invalid_argument(std::string("FASTDL_NUM_THREADS=") + text +
                                  " is not a number of threads from 1 to " +
                                  std::to_string(kMostThreads));
    }
    return static_cast<int>(n);
  }
  if (const char* text = std::getenv("OMP_NUM_THREADS")) {  // may be a list, one for each level
    const long n = std::strtol(text, nullptr, 10);
    if (n >= 1) return static_cast<int>(std::min<long>(n, kMostThreads));
  }
  return cores();
}

// Python runs signal handlers on the main thread only; there, the thread's id is the process's.
bool on_main_thread() { return syscall(SYS_gettid) == getpid(); }

// The time of the next look outlives a region: a call made of many short ones is interrupted too.
class SignalPoll {
 public:
  SignalPoll() {
    const auto now = Clock::now();
    if (now > next_ + kSignalPeriod) next_ = now + kSignalPeriod;
  }
  // Null, or the exception of a Python signal handler (KeyboardInterrupt).
  std::exception_ptr operator()() {
    const auto now = Clock::now();
    if (now < next_) return nullptr;
    next_ = now + kSignalPeriod;
    if (!on_main_thread() || !Py_IsInitialized()) return nullptr;
    py::gil_scoped_acquire gil;
    if (PyErr_CheckSignals() == 0) return nullptr;
    return std::make_exception_ptr(py::error_already_set());
  }

 private:
  static thread_local Clock::time_point next_;
};
thread_local Clock::time_point SignalPoll::next_{};

class Pool {
 public:
  explicit Pool(int size) : wanted_(size) {}

  int size() const { return wanted_.load(std::memory_order_relaxed); }

  void resize(int n) {
    std::lock_guard<std::mutex> hold(busy_);
    wanted_.store(n, std::memory_order_relaxed);
    const size_t keep = static_cast<size_t>(n - 1);
    if (workers_.size() <= keep) return;  // more are started when a job first wants them
    last_.store(n - 1, std::memory_order_relaxed);
    state_.fetch_add(kJob);
    futex(FUTEX_WAKE_PRIVATE, INT_MAX);
    while (workers_.size() > keep) {
      workers_.back().join();
      workers_.pop_back();
    }
  }

  void run(int64_t chunks, double nanoseconds, void (*body)(void*, int64_t), void* context) {
    const double worth = std::min(nanoseconds / kNanosecondsPerThread, double{kMostThreads});
    const int64_t most = std::min<int64_t>({size(), chunks, static_cast<int64_t>(worth)});
    if (most <= 1 || inside || !busy_.try_lock()) {
      run_serially(chunks, nanoseconds, body, context);
      return;
    }
    std::lock_guard<std::mutex> hold(busy_, std::adopt_lock);
    const int seats = start_workers(static_cast<int>(most) - 1);
    body_ = body;
    context_ = context;
    chunks_ = chunks;
    float_mode_ = float_mode();
    next_.store(0, std::memory_order_relaxed);
    failed_.store(false, std::memory_order_relaxed);
    error_ = nullptr;
    open(seats);

    inside = true;
    SignalPoll poll;
    take_chunks([&] {
      if (std::exception_ptr interrupt = poll()) fail(std::move(interrupt));
    });
    close();
    inside = false;
    if (failed_.load(std::memory_order_relaxed)) std::rethrow_exception(std::move(error_));
  }

 private:
  // state_: job number in the upper half, then 16 bits of free seats and 16 of workers seated.
  static constexpr uint64_t kWorker = 1, kSeat = 1 << 16, kJob = uint64_t{1} << 32;
  static uint32_t job(uint64_t state) { return static_cast<uint32_t>(state >> 32); }
  static bool has_seat(uint64_t state) { return state & 0xFFFF0000u; }
  static bool has_worker(uint64_t state) { return state & 0xFFFFu; }

  static void run_serially(int64_t chunks, double nanoseconds, void (*body)(void*, int64_t),
                           void* context) {
    if (nanoseconds < kSerialNanoseconds || chunks <= 1 || inside) {
      for (int64_t i = 0; i < chunks; ++i) body(context, i);
      return;
    }
    SignalPoll poll;
    for (int64_t i = 0; i < chunks; ++i) {
      body(context, i);
      if (std::exception_ptr interrupt = poll()) std::rethrow_exception(std::move(interrupt));
    }
  }

  // Starts the workers a job needs, all signals blocked: those belong to the main thread.
  int start_workers(int count) {
    if (static_cast<int>(workers_.size()) >= count) return count;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    last_.store(size() - 1, std::memory_order_relaxed);
    try {
      while (static_cast<int>(workers_.size()) < count) {
        workers_.emplace_back(&Pool::work, this, static_cast<int>(workers_.size()));
      }
    } catch (const std::exception&) {  // a limit of the system: go on with those that started
    }
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    return std::min(count, static_cast<int>(workers_.size()));
  }

  void open(int seats) {
    const uint64_t next_job = (uint64_t{job(state_.load(std::memory_order_relaxed))} + 1) << 32;
    // Ordered before the load of sleepers_, as a worker counts itself there before it looks here.
    state_.exchange(next_job | static_cast<uint64_t>(seats) << 16);
    const int awake = static_cast<int>(workers_.size()) - sleepers_.load();
    if (awake < seats) futex(FUTEX_WAKE_PRIVATE, kWakes);
  }

  // Takes the free seats away and waits until those seated have left.
  void close() {
    state_.fetch_and(~uint64_t{0xFFFF0000u}, std::memory_order_relaxed);
    for (int spins = 0; has_worker(state_.load(std::memory_order_acquire)); ++spins) relax(spins);
  }

  bool join(uint64_t state) {
    while (has_seat(state)) {
      if (state_.compare_exchange_weak(state, state - kSeat + kWorker, std::memory_order_acquire)) {
        return true;
      }
    }
    return false;
  }

  template <class Between>
  void take_chunks(Between&& between) {
    int64_t i;
    while ((i = next_.fetch_add(1, std::memory_order_relaxed)) < chunks_) {
      try {
        body_(context_, i);
        between();
      } catch (...) {
        fail(std::current_exception());
      }
    }
  }

  // The first exception is kept, the chunks not yet begun are dropped.
  void fail(std::exception_ptr error) {
    if (!failed_.exchange(true)) error_ = std::move(error);
    next_.store(chunks_, std::memory_order_relaxed);
  }

  void work(int index) {
    inside = true;
    pthread_setname_np(pthread_self(), "fastdl");
    uint32_t done = 0;  // the last job this worker sat in
    while (wait_for_job(index, done)) {
      const uint64_t state = state_.load(std::memory_order_relaxed);
      if (job(state) == done || !join(state)) continue;
      done = job(state_.load(std::memory_order_relaxed));  // cannot change while we sit in it
      if (sleepers_.load() && has_seat(state_.load())) futex(FUTEX_WAKE_PRIVATE, kWakes);
      set_float_mode(float_mode_);
      take_chunks([] {});
      state_.fetch_sub(kWorker, std::memory_order_release);
    }
  }

  // Spins, then sleeps, until there is a job to join. False when this worker is to end.
  bool wait_for_job(int index, uint32_t done) {
    const auto ready = [&] {
      const uint64_t state = state_.load(std::memory_order_acquire);
      return has_seat(state) && job(state) != done;
    };
    for (;;) {
      auto until = Clock::time_point();
      for (int spins = 0;; ++spins) {
        if (index >= last_.load(std::memory_order_relaxed)) return false;
        if (ready()) return true;
        if (spins % 32 == 31) {
          const auto now = Clock::now();
          if (until == Clock::time_point()) until = now + kSpin;
          if (now > until) break;
        }
        relax(spins);
      }
      sleepers_.fetch_add(1);
      const uint32_t seen = job(state_.load());
      if (index < last_.load() && !ready()) futex(FUTEX_WAIT_PRIVATE, seen);
      sleepers_.fetch_sub(1);
    }
  }

  // The core may be wanted, by the very thread that is waited for: on a busy machine a worker that
  // only spins beside its caller turns a job of 10 us into one of 65.
  void relax(int spins) const {
    if (size() > cores_ || (spins > kSpinsBeforeYield && spins % 16 == 0)) {
      sched_yield();
    } else {
      pause();
    }
  }

  // Workers sleep until the job number changes: the upper half of state_ (both are little-endian).
  void futex(int operation, uint32_t value) {
    syscall(SYS_futex, reinterpret_cast<uint32_t*>(&state_) + 1, operation, value, nullptr, nullptr,
            0);
  }

  // All that a worker needs to begin arrives with one cache line.
  alignas(64) std::atomic<uint64_t> state_{0};
  std::atomic<int64_t> next_{0};
  int64_t chunks_ = 0;
  void (*body_)(void*, int64_t) = nullptr;
  void* context_ = nullptr;
  unsigned float_mode_ = 0;

  alignas(64) std::atomic<int> last_{0};  // workers of this index and above end
  std::atomic<int> sleepers_{0};
  const int cores_ = cores();
  std::atomic<int> wanted_;

  alignas(64) std::mutex busy_;  // held by the job, and by a change of size
  std::vector<std::thread> workers_;
  std::atomic<bool> failed_{false};
  std::exception_ptr error_;
};

// Lives as long as the process: workers may be asleep in it when static objects are destroyed.
alignas(Pool) unsigned char storage[sizeof(Pool)];

Pool& pool() {
  static Pool* made = [] {
    Pool* p = new (storage) Pool(threads_wanted());
    // Only the forking thread goes on in the child: begin again with no workers. Nothing is
    // destroyed, the threads the old pool names are not there.
    pthread_atfork(nullptr, nullptr, [] {
      const int n = reinterpret_cast<Pool*>(storage)->size();
      new (storage) Pool(n);
      inside = false;
    });
    return p;
  }();
  return *made;
}

}  // namespace

unsigned float_mode() {
#if defined(__x86_64__)
  return _mm_getcsr() & 0xFFC0;
#elif defined(__aarch64__)
  uint64_t fpcr;
  __asm__ volatile("mrs %0, fpcr" : "=r"(fpcr));
  return static_cast<unsigned>(fpcr);
#else
  return 0;
#endif
}

int num_threads() { return pool().size(); }

void set_num_threads(int n) {
  if (n < 1 || n > kMostThreads) {
    throw std::invalid_argument("the number of threads must be from 1 to " +
                                std::to_string(kMostThreads) + ", got " + std::to_string(n));
  }
  if (inside) throw std::runtime_error("set_num_threads was called inside a parallel region");
  pool().resize(n);
}

void parallel_run(int64_t chunks, double nanoseconds, void (*body)(void*, int64_t), void* context) {
  if (chunks > 0) pool().run(chunks, nanoseconds, body, context);
}

}  // namespace fd
