// The caching allocator.
//
// First touch of fresh pages costs more than most memory-bound kernels (a 32 MB relu: 8 GB/s into
// fresh mmap, 60 GB/s into warm memory), so freed blocks are kept, in size classes: four to an
// octave, multiples of 64 bytes. From 2 MiB on, blocks are 2 MiB-aligned mappings advised to be
// huge pages. The cache is bounded; past the bound the largest other cached blocks go first.
#include "memory.h"

#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <new>
#include <unordered_map>

namespace fd {
namespace {

constexpr size_t kAlignment = 64;
constexpr size_t kHuge = size_t{2} << 20;
constexpr size_t kLargest = size_t{1} << 46;  // beyond any address space: fail before rounding
constexpr int kClasses = 4 * 48;

// Held for a few nanoseconds, never across a system call; cheaper than a mutex.
class SpinLock {
 public:
  void lock() {
    for (int spins = 0; taken_.exchange(true, std::memory_order_acquire); ++spins) {
      if (spins > 64) sched_yield();
    }
  }
  void unlock() { taken_.store(false, std::memory_order_release); }

 private:
  std::atomic<bool> taken_{false};
};

struct SizeClass {
  int index;
  size_t bytes;
};

// The smallest class that holds `bytes`: k·64 up to 256, then 2^e·{5, 6, 7, 8}/4.
SizeClass size_class(size_t bytes) {
  if (bytes <= 256) {
    const size_t k = bytes ? (bytes + 63) / 64 : 1;
    return {static_cast<int>(k) - 1, k * 64};
  }
  const int exponent = 63 - __builtin_clzll(bytes - 1);  // 2^exponent < bytes <= 2^(exponent + 1)
  size_t step = size_t{1} << (exponent - 2);
  if (bytes > kHuge) step = std::max(step, kHuge);
  const size_t rounded = (bytes + step - 1) / step * step;
  const int quarter = static_cast<int>((rounded - 1) >> (exponent - 2)) & 3;
  return {4 * (exponent - 7) + quarter, rounded};
}

void* system_allocate(size_t bytes) {
  if (bytes < kHuge) return std::aligned_alloc(kAlignment, bytes);
  const size_t span = bytes + kHuge;
  void* raw = mmap(nullptr, span, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (raw == MAP_FAILED) return nullptr;
  const uintptr_t start = reinterpret_cast<uintptr_t>(raw);
  const uintptr_t aligned = (start + kHuge - 1) & ~(kHuge - 1);
  if (aligned > start) munmap(raw, aligned - start);
  const uintptr_t end = aligned + bytes;
  if (start + span > end) munmap(reinterpret_cast<void*>(end), start + span - end);
  void* block = reinterpret_cast<void*>(aligned);
  madvise(block, bytes, MADV_HUGEPAGE);
  return block;
}

void system_free(void* block, size_t bytes) {
  if (bytes < kHuge) {
    std::free(block);
  } else {
    munmap(block, bytes);
  }
}

// A cached block carries the link of its free list in its own first bytes.
struct Free {
  Free* next;
  size_t bytes;
};

void free_all(Free* list) {
  while (list) {
    Free* next = list->next;
    system_free(list, list->bytes);
    list = next;
  }
}

struct Guarded {
  void* mapping;
  size_t span;
};

struct Heap {
  SpinLock lock;
  Free* free[kClasses] = {};
  size_t in_use = 0;
  size_t cached = 0;
  size_t limit = 0;

  std::atomic<MemoryMode> mode{MemoryMode::normal};
  std::atomic<uint8_t> pattern{0};
  std::atomic<int64_t> guarded_count{0};
  std::mutex guarded_lock;
  std::unordered_map<void*, Guarded> guarded;

  Heap() {
    const size_t ram =
        static_cast<size_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<size_t>(sysconf(_SC_PAGESIZE));
    limit = std::min(size_t{1} << 30, ram / 8);
    pthread_atfork(before_fork, after_fork, after_fork);
  }

  // Takes blocks off the largest classes, but not off `keep`, until `bytes` more fit the bound.
  Free* evict_for(size_t bytes, int keep) {
    Free* evicted = nullptr;
    for (int c = kClasses - 1; c >= 0 && cached + bytes > limit; --c) {
      while (c != keep && free[c] && cached + bytes > limit) {
        Free* block = free[c];
        free[c] = block->next;
        cached -= block->bytes;
        block->next = evicted;
        evicted = block;
      }
    }
    return evicted;
  }

  static void before_fork();
  static void after_fork();
};

// Never destroyed: arrays outlive the module's static objects.
Heap& heap() {
  static Heap& heap = *new Heap;
  return heap;
}

void Heap::before_fork() {
  heap().guarded_lock.lock();
  heap().lock.lock();
}

void Heap::after_fork() {
  heap().lock.unlock();
  heap().guarded_lock.unlock();
}

// [unreadable page] [pages] [unreadable page], the block flush with one end of the pages.
void* allocate_guarded(Heap& h, size_t bytes, MemoryMode mode, uint8_t pattern) {
  const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  const size_t inner = (bytes + page - 1) / page * page;
  const size_t span = inner + 2 * page;
  void* raw = mmap(nullptr, span, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (raw == MAP_FAILED) throw std::bad_alloc();
  char* first = static_cast<char*>(raw) + page;
  if (inner) {
    if (mprotect(first, inner, PROT_READ | PROT_WRITE) != 0) {
      munmap(raw, span);
      throw std::bad_alloc();
    }
    std::memset(first, pattern, inner);
  }
  void* block = mode == MemoryMode::guard_end ? first + (inner - bytes) : first;
  std::lock_guard<std::mutex> hold(h.guarded_lock);
  h.guarded[block] = {raw, span};
  h.guarded_count.fetch_add(1);
  return block;
}

bool release_guarded(Heap& h, void* block) {
  Guarded g;
  {
    std::lock_guard<std::mutex> hold(h.guarded_lock);
    auto found = h.guarded.find(block);
    if (found == h.guarded.end()) return false;
    g = found->second;
    h.guarded.erase(found);
    h.guarded_count.fetch_sub(1);
  }
  munmap(g.mapping, g.span);
  return true;
}

}  // namespace

void* allocate(size_t bytes) {
  if (bytes > kLargest) throw std::bad_alloc();
  Heap& h = heap();
  const MemoryMode mode = h.mode.load(std::memory_order_relaxed);
  const uint8_t pattern = h.pattern.load(std::memory_order_relaxed);
  if (mode == MemoryMode::guard_end || mode == MemoryMode::guard_start) {
    return allocate_guarded(h, bytes, mode, pattern);
  }
  const SizeClass size = size_class(bytes);
  void* block;
  {
    std::lock_guard<SpinLock> hold(h.lock);
    block = h.free[size.index];
    if (block) {
      h.free[size.index] = h.free[size.index]->next;
      h.cached -= size.bytes;
    }
    h.in_use += size.bytes;
  }
  if (!block) block = system_allocate(size.bytes);
  if (!block) {
    empty_cache();
    block = system_allocate(size.bytes);
  }
  if (!block) {
    std::lock_guard<SpinLock> hold(h.lock);
    h.in_use -= size.bytes;
    throw std::bad_alloc();
  }
  if (mode == MemoryMode::poison) std::memset(block, pattern, size.bytes);
  return block;
}

void release(void* pointer, size_t bytes) noexcept {
  Heap& h = heap();
  if (h.guarded_count.load(std::memory_order_relaxed) && release_guarded(h, pointer)) return;
  const SizeClass size = size_class(bytes);
  Free* block = static_cast<Free*>(pointer);
  Free* to_system = nullptr;
  {
    std::lock_guard<SpinLock> hold(h.lock);
    h.in_use -= size.bytes;
    if (h.cached + size.bytes > h.limit) to_system = h.evict_for(size.bytes, size.index);
    const bool keep = h.cached + size.bytes <= h.limit;
    Free*& list = keep ? h.free[size.index] : to_system;
    block->next = list;
    block->bytes = size.bytes;
    list = block;
    if (keep) h.cached += size.bytes;
  }
  free_all(to_system);
}

void empty_cache() {
  Heap& h = heap();
  Free* lists[kClasses];
  {
    std::lock_guard<SpinLock> hold(h.lock);
    std::copy(h.free, h.free + kClasses, lists);
    std::fill(h.free, h.free + kClasses, nullptr);
    h.cached = 0;
  }
  for (Free* list : lists) free_all(list);
}

MemoryStats memory_stats() {
  Heap& h = heap();
  std::lock_guard<SpinLock> hold(h.lock);
  return {h.in_use, h.cached, h.limit};
}

void set_memory_mode(MemoryMode mode, uint8_t pattern) {
  heap().pattern.store(pattern);
  heap().mode.store(mode);
}

}  // namespace fd
