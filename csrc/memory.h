// The caching allocator behind every output and every workspace.
#pragma once
#include <cstddef>
#include <cstdint>

namespace fd {
// 64-byte aligned. Throws std::bad_alloc. Thread-safe. `release` takes the same byte count.
void* allocate(size_t bytes);
void release(void* pointer, size_t bytes) noexcept;
void empty_cache();  // gives every cached block back to the system

struct MemoryStats {
  size_t in_use;  // bytes of blocks handed out, size classes counted whole, guarded blocks not
  size_t cached;  // bytes of free blocks kept
  size_t limit;   // bound of `cached`
};
MemoryStats memory_stats();

// Checker modes: `poison` fills every block handed out with a byte pattern; `guard` puts the
// block's end (or start) flush against an unreadable page, and fills it with the pattern as well; a
// block at guard_end is aligned only as far as its size is.
enum class MemoryMode : uint8_t { normal, poison, guard_end, guard_start };
void set_memory_mode(MemoryMode mode, uint8_t pattern);

// Workspace of one call.
class Scratch {
 public:
  explicit Scratch(size_t bytes) : bytes_(bytes), data_(bytes ? allocate(bytes) : nullptr) {}
  ~Scratch() {
    if (data_) release(data_, bytes_);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  template <class T>
  T* as() const {
    return static_cast<T*>(data_);
  }

 private:
  size_t bytes_;
  void* data_;
};
}  // namespace fd
