// Products by the register tile: how they are cut into chunks, blocks and panels.
#include "matmul_tiles.h"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <optional>
#include <utility>

#include "memory.h"
#include "parts.h"
#include "threads.h"

namespace fd {
namespace {

constexpr int64_t kDirect = 64 * 64 * 64;   // products a * b, below which nothing is packed
constexpr int64_t kGroupBytes = 384 << 10;  // of packed B in a chunk of the blocked way
constexpr int64_t kPackColumns = 64;        // of A that are packed for all tiles at once
constexpr int64_t kPackStrips = 16;         // tiles of A in a chunk of packing
constexpr int64_t kApart = 16;              // numbers between packed rows of A
constexpr int64_t kRows = 1344;             // of C in a chunk; more are slow to be touched first
constexpr int64_t kAInL2 = 512 << 10;       // bytes of a block of A, beside a panel of B
constexpr int64_t kAskedBytes = 1 << 20;    // of a B that few strips do not wait for
constexpr int64_t kFarRows = 64;            // of A, to which it matters that it is not
constexpr int64_t kShiftBytes = 1 << 20;    // of a B whose panels begin at lines
constexpr int64_t kPartRows = 64;           // of a far B at once
constexpr int64_t kRowsAhead = 4;           // of it that are asked for
constexpr int64_t kPartBytes = 2 << 10;     // of a row of B, before its sums are finished
constexpr int64_t kFewStrips = 9;           // of A, to which it matters where panels of B begin

// The epilogue and what is left to finish, when tiles add what they can in their registers.
template <class T>
Epilogue<T> tile_epilogue(Epilogue<T> epilogue, std::optional<Finish<T>>& finish) {
  auto& x = finish->addends[1];
  if (x.data && x.column_stride == 1 && x.scale == 1 && finish->alpha == 1 &&
      !epilogue.accumulate) {
    epilogue.addend = std::exchange(x.data, nullptr);
    epilogue.addend_row = x.row_stride;
    if (finish->activation == Activation::none && !finish->addends[0].data) finish.reset();
  }
  return epilogue;
}

// Rows that will be added to the sums made meanwhile: too short and far apart for the hardware.
template <class T>
void prefetch_addend(const Epilogue<T>& epilogue, int64_t i, int64_t j, int64_t m, int64_t n) {
  const T* row = epilogue.addend + i * epilogue.addend_row + j;
  for (; m > 0; --m, row += epilogue.addend_row) {
    for (int64_t line = 0; line < n; line += 64 / sizeof(T)) __builtin_prefetch(row + line);
  }
}

template <class T>
void multiply_direct(const Matrix<const T>& a, const Matrix<const T>& b, const Matrix<T>& c,
                     const Epilogue<T>& epilogue, const Finish<T>* finish) {
  const MatmulKernels<T>& kernels = matmul_kernels<T>();
  const int64_t tiles = ceil_div(c.rows, kernels.mr);
  for (int64_t j = 0; j < c.columns; j += kernels.nr) {
    const int n = static_cast<int>(std::min<int64_t>(kernels.nr, c.columns - j));
    for (int64_t t = 0; t < tiles; ++t) {
      const int64_t i = cut(c.rows, tiles, t), end = cut(c.rows, tiles, t + 1);
      kernels.tile(a.columns, {a.at(i, 0), a.row_stride, a.column_stride}, b.at(0, j), b.row_stride,
                   false, c.at(i, j), c.row_stride, static_cast<int>(end - i), n,
                   at(epilogue, i, j));
    }
  }
  if (finish) finish_part(*finish, c, 0, 0, c.rows, c.columns);
}

// Chunks that a product is worth.
int64_t chunks_worth(int64_t products) {
  return num_threads() == 1 ? 1 : std::max<int64_t>(1, products / kChunk);
}

// How B is cut into panels: all as wide as the tile, but the first where that puts the others at
// the beginning of lines. (A row of a panel across three lines costs a third more traffic than one
// of two: 5 to 30% of the time of few strips of A. With many strips it makes no difference.)
template <class T>
class Panels {
 public:
  Panels(const Matrix<const T>& b, int64_t m) : n_(b.columns) {
    constexpr int64_t line = 64 / sizeof(T);
    if (m > kFewStrips * matmul_kernels<T>().mr || n_ < 16 * nr_ || b.column_stride != 1 ||
        b.row_stride % line != 0 || b.rows * n_ * int64_t{sizeof(T)} < kShiftBytes)
      return;
    const auto place = static_cast<int64_t>(reinterpret_cast<uintptr_t>(b.data) / sizeof(T)) % nr_;
    head_ = place ? nr_ - place : 0;
  }
  int64_t count() const { return (head_ > 0) + ceil_div(n_ - head_, nr_); }
  int64_t begin(int64_t p) const {
    return head_ == 0 ? std::min(n_, p * nr_) : p == 0 ? 0 : std::min(n_, head_ + (p - 1) * nr_);
  }
  int columns(int64_t p) const { return static_cast<int>(begin(p + 1) - begin(p)); }

 private:
  const int64_t n_, nr_ = matmul_kernels<T>().nr;
  int64_t head_ = 0;
};

// Tiles' rows of A, for some terms at a time: where they are, or packed where their strides are bad
// for the tile. Rows are packed as rows, at a distance that does not alias in L1; columns as
// columns of each tile.
template <class T>
class Strips {
 public:
  Strips(const Matrix<const T>& a, int64_t panels, int64_t rows_most, int64_t k_most)
      : a_(a), as_rows_(a.column_stride == 1), apart_(k_most + kApart) {
    const bool bad = as_rows_ ? aliases_in_l1<T>(a.row_stride) && a.rows > 8
                              : a.row_stride != 1 || aliases_in_l1<T>(a.column_stride);
    if (bad && panels > 2) packed_.emplace(sizeof(T) * rows_most * apart_);
  }

  int64_t count() const { return count_; }
  int64_t begin(int64_t t) const { return m0_ + cut(m1_ - m0_, count_, t); }

  // From now on rows m0 to m1, terms k0 to k1, in `least` strips or more.
  void take(int64_t m0, int64_t m1, int64_t k0, int64_t k1, int64_t least = 1) {
    m0_ = m0, m1_ = m1, k0_ = k0, k_size_ = k1 - k0;
    count_ = std::max(ceil_div(m1 - m0, matmul_kernels<T>().mr), std::min(least, m1 - m0));
    if (!packed_) return;
    const int64_t chunks = ceil_div(count_, kPackStrips);
    const double numbers = static_cast<double>(k_size_) * static_cast<double>(m1 - m0);
    parallel_for(chunks, numbers / 4, [&](int64_t chunk) {
      pack(cut(count_, chunks, chunk), cut(count_, chunks, chunk + 1));
    });
  }

  // Of strip t, from term k0 + k on.
  Rows<T> rows(int64_t t, int64_t k = 0) const {
    const int64_t i = begin(t);
    if (!packed_) return {a_.at(i, k0_ + k), a_.row_stride, a_.column_stride};
    const T* kept = packed_->template as<T>() + (i - m0_) * (as_rows_ ? apart_ : k_size_);
    if (as_rows_) return {kept + k, apart_, 1};
    const int64_t rows = begin(t + 1) - i;
    return {kept + k * rows, 1, rows};
  }

 private:
  void pack(int64_t first, int64_t last) {
    T* const to = packed_->template as<T>();
    if (as_rows_) {
      for (int64_t i = begin(first); i < begin(last); ++i)
        std::memcpy(to + (i - m0_) * apart_, a_.at(i, k0_), sizeof(T) * k_size_);
      return;
    }
    // Columns of A contiguous: all tiles take some columns, then the next ones, so that a line
    // serves two tiles while it is cached (columns 4096 bytes apart share a set).
    const int64_t stretch = a_.row_stride == 1 ? kPackColumns : k_size_;
    for (int64_t k = 0; k < k_size_; k += stretch) {
      for (int64_t t = first; t < last; ++t) {
        const int64_t i = begin(t), rows = begin(t + 1) - i;
        matmul_kernels<T>().pack(std::min(stretch, k_size_ - k), static_cast<int>(rows),
                                 a_.at(i, k0_ + k), a_.row_stride, a_.column_stride,
                                 to + (i - m0_) * k_size_ + k * rows, static_cast<int>(rows));
      }
    }
  }

  const Matrix<const T> a_;
  const bool as_rows_;
  const int64_t apart_;
  std::optional<Scratch> packed_;
  int64_t m0_ = 0, m1_ = 0, k0_ = 0, k_size_ = 0, count_ = 0;
};

// A part of a far B: it is copied to where its rows share no sets of L2, and come in one by one
// while the part before is multiplied.
template <class T>
class Part {
 public:
  Part() = default;
  Part(const Matrix<const T>& b, int64_t k0, int64_t k1, int64_t j0, int64_t j1, T* to,
       int64_t to_row)
      : rows_(k1 - k0),
        next_{b.at(k0, j0), b.row_stride, j1 - j0, 0, kRowsAhead * b.row_stride, to, to_row},
        b_(to) {}

  const T* b() const { return b_; }

  // What a tile of `terms` terms is to copy.
  Beside<T> take(int64_t terms) {
    const int64_t vector = matmul_kernels<T>().nr / 2, size = terms * vector;
    if (next_.width % vector != 0 || size > (rows_ - row_) * next_.width - next_.at) return {};
    const Beside<T> taken = next_;
    next_.at += size;
    skip(next_.at / next_.width);
    return taken;
  }
  // Copies what no tile took.
  void finish() {
    for (; row_ < rows_; skip(1)) {
      const T* const from = next_.from + next_.at;
      for (int64_t i = 0; i < next_.width - next_.at; i += 64 / sizeof(T))
        __builtin_prefetch(from + i + next_.ahead);
      std::memcpy(next_.to + next_.at, from, sizeof(T) * (next_.width - next_.at));
      next_.at = next_.width;
    }
  }

 private:
  void skip(int64_t rows) {
    row_ += rows;
    next_.at -= rows * next_.width;
    next_.from += rows * next_.from_row;
    next_.to += rows * next_.to_row;
  }

  int64_t rows_ = 0, row_ = 0;
  Beside<T> next_;
  const T* b_ = nullptr;
};

enum class WhereB { packed, in_place, far };

// Where B is best read from, by all or few strips of A: where it is, while A stays in L2, B is near
// and its panels, each read once for each strip of A, fit L2's sets (1 MB of 16 ways) or meet few
// strips; from memory, beside the tiles, where they are few.
template <class T>
WhereB where_b(const Matrix<const T>& a, const Matrix<const T>& b) {
  const MatmulKernels<T>& kernels = matmul_kernels<T>();
  const int64_t m = a.rows, k = a.columns, bytes = k * b.columns * int64_t{sizeof(T)};
  const int64_t k_most = ceil_div(k, ceil_div(k, kernels.kc)),
                row = b.row_stride * int64_t{sizeof(T)};
  const bool rows_for_threads = m > kernels.mr && ceil_div(b.columns, kernels.nr) < num_threads();
  if (!unit_columns(b) || rows_for_threads || m * k_most * int64_t{sizeof(T)} > kAInL2)
    return WhereB::packed;
  if (bytes > kNearBytes) return m <= kFarRows ? WhereB::far : WhereB::packed;
  const bool fits = row % 64 != 0 || k_most * std::gcd(row / 64, int64_t{1024}) <= 12 * 1024;
  return fits || m <= 64 ? WhereB::in_place : WhereB::packed;
}

// Panels of B, where they are, meet all strips of A one after the other, and ask for the next one
// where it comes from L3: by at least two strips, as one has no time for all its lines.
template <class T>
void multiply_in_place(const Matrix<const T>& a, const Matrix<const T>& b, const Matrix<T>& c,
                       const Epilogue<T>& epilogue, const Finish<T>* finish) {
  const MatmulKernels<T>& kernels = matmul_kernels<T>();
  const int64_t m = c.rows, n = c.columns, k = a.columns, k_blocks = ceil_div(k, kernels.kc);
  const Panels<T> panels(b, m);
  const int64_t wide = kPartBytes / int64_t{sizeof(T)} / kernels.nr;  // panels finished at once
  const bool asked = m < kFewStrips * kernels.mr && k * n * int64_t{sizeof(T)} > kAskedBytes;
  const int64_t chunks =
      std::min({panels.count(), chunks_worth(m * n * k), int64_t{4} * num_threads()});
  Strips<T> strips(a, panels.count(), m, ceil_div(k, k_blocks));

  for (int64_t kb = 0; kb < k_blocks; ++kb) {
    const int64_t k0 = cut(k, k_blocks, kb), k1 = cut(k, k_blocks, kb + 1);
    const Epilogue<T> block = block_epilogue(epilogue, kb == 0, kb == k_blocks - 1);
    strips.take(0, m, k0, k1, asked ? 2 : 1);
    parallel_for(chunks, multiply_nanoseconds<T>(m, n, k1 - k0), [&](int64_t chunk) {
      const int64_t end = cut(panels.count(), chunks, chunk + 1);
      for (int64_t first = cut(panels.count(), chunks, chunk); first < end; first += wide) {
        const int64_t last = std::min(end, first + wide);
        for (int64_t p = first; p < last; ++p) {
          const int64_t j = panels.begin(p);
          for (int64_t t = 0; t < strips.count(); ++t) {
            const int64_t i = strips.begin(t);
            const int rows = static_cast<int>(strips.begin(t + 1) - i);
            if (block.addend && k1 - k0 >= 64)
              prefetch_addend(block, i, j, rows, panels.columns(p));
            Epilogue<T> e = at(block, i, j);
            if (asked && p + 1 < panels.count() && panels.columns(p) == kernels.nr)
              e.beside = {b.at(k0 + cut(k1 - k0, strips.count(), t), j + kernels.nr), b.row_stride,
                          kernels.nr};
            kernels.tile(k1 - k0, strips.rows(t), b.at(k0, j), b.row_stride, false, c.at(i, j),
                         c.row_stride, rows, panels.columns(p), e);
          }
        }
        if (finish && kb == k_blocks - 1) {
          const int64_t left = panels.begin(first);
          finish_part(*finish, c, 0, left, m, panels.begin(last) - left);
        }
      }
    });
  }
}

// A B that comes from memory, and few rows of A: parts of B, of few rows but wide, so that they
// stream, are copied into L2 by the tiles that multiply the part before, and their sums go on from
// part to part.
template <class T>
void multiply_far(const Matrix<const T>& a, const Matrix<const T>& b, const Matrix<T>& c,
                  const Epilogue<T>& epilogue, const Finish<T>* finish) {
  const MatmulKernels<T>& kernels = matmul_kernels<T>();
  const int64_t m = c.rows, n = c.columns, k = a.columns, nr = kernels.nr;
  const int64_t k_blocks = ceil_div(k, kernels.kc);
  const int64_t wide = kPartBytes / int64_t{sizeof(T)}, row = wide + kApart;
  const int64_t stretches = ceil_div(n, wide), chunks = std::min<int64_t>(stretches, num_threads());
  Strips<T> strips(a, stretches, m, ceil_div(k, k_blocks));

  for (int64_t kb = 0; kb < k_blocks; ++kb) {
    const int64_t k0 = cut(k, k_blocks, kb), k1 = cut(k, k_blocks, kb + 1);
    const int64_t parts = ceil_div(k1 - k0, kPartRows);
    const Epilogue<T> block = block_epilogue(epilogue, kb == 0, kb == k_blocks - 1);
    strips.take(0, m, k0, k1);
    parallel_for(chunks, multiply_nanoseconds<T>(m, n, k1 - k0), [&](int64_t chunk) {
      const int64_t begin = cut(stretches, chunks, chunk), end = cut(stretches, chunks, chunk + 1);
      Scratch sums(sizeof(T) * m * row), copies(sizeof(T) * 2 * kPartRows * row);
      const auto part_at = [&](int64_t step) {
        const int64_t part = step % parts, j = (begin + step / parts) * wide;
        return Part<T>(b, k0 + cut(k1 - k0, parts, part), k0 + cut(k1 - k0, parts, part + 1), j,
                       std::min(n, j + wide), copies.as<T>() + step % 2 * kPartRows * row, row);
      };
      const int64_t steps = (end - begin) * parts;
      Part<T> now = part_at(0);
      now.finish();
      for (int64_t step = 0; step < steps; ++step) {
        const int64_t part = step % parts, left = (begin + step / parts) * wide;
        const int64_t from = cut(k1 - k0, parts, part), to = cut(k1 - k0, parts, part + 1);
        const int64_t right = std::min(n, left + wide);
        const bool ends = part == parts - 1;
        Part<T> next = step + 1 < steps ? part_at(step + 1) : Part<T>();
        for (int64_t j = left; j < right; j += nr) {
          const int columns = static_cast<int>(std::min(nr, right - j));
          for (int64_t t = 0; t < strips.count(); ++t) {
            const int64_t i = strips.begin(t);
            const int rows = static_cast<int>(strips.begin(t + 1) - i);
            T* const kept = sums.as<T>() + i * row + j - left;
            Epilogue<T> e = ends ? at(block, i, j) : Epilogue<T>{};
            if (part > 0) e.begun = kept, e.begun_row = row;
            if (columns == nr) e.beside = next.take(to - from);
            kernels.tile(to - from, strips.rows(t, from), now.b() + j - left, row, false,
                         ends ? c.at(i, j) : kept, ends ? c.row_stride : row, rows, columns, e);
          }
        }
        next.finish();
        now = next;
        if (ends && finish && kb == k_blocks - 1) finish_part(*finish, c, 0, left, m, right - left);
      }
    });
  }
}

// What the tile of strip `t` asks for while it multiplies a panel of `size` numbers: its share of
// the panel after that.
template <class T>
Beside<T> next_panel(const T* panel, int64_t size, int64_t strips, int64_t t) {
  const int64_t vector = matmul_kernels<T>().nr / 2;
  return {panel + size + size / vector * t / strips * vector, 0, size};
}

// A chunk is some panels of B, which it packs for itself, times all rows of A, or, where there are
// fewer panels than threads, times a block of rows; then B is packed ahead of all chunks. Its
// panels stay in L2 while one tile of A after the other passes through L1. `ready`: the panels of
// b, if they were packed before; then only its sizes count.
template <class T>
void multiply_blocked(const Matrix<const T>& a, const Matrix<const T>& b, const Matrix<T>& c,
                      const Epilogue<T>& epilogue, const Finish<T>* finish, const T* ready) {
  const MatmulKernels<T>& kernels = matmul_kernels<T>();
  const int64_t m = c.rows, n = c.columns, k = a.columns, mr = kernels.mr, nr = kernels.nr;

  const int64_t k_blocks = ceil_div(k, kernels.kc), k_most = ceil_div(k, k_blocks);
  const Panels<T> panels(b, m);
  const int64_t all = panels.count(), threads = num_threads();
  const int64_t chunks_most = chunks_worth(m * n * k);
  const int64_t row_blocks =
      std::min({ceil_div(threads, all), ceil_div(m, mr), ceil_div(chunks_most, all)});
  const bool b_ahead = !ready && row_blocks > 1, own = !ready && !b_ahead;

  // Rows of C, and of A packed, at once; columns of B where it is packed ahead. (A chunk that
  // touched all pages of a large C first would keep an interrupt waiting.)
  const int64_t m_blocks = ceil_div(m, kRows);
  const int64_t n_blocks = b_ahead ? ceil_div(n, kernels.nc) : 1;
  Scratch packed_b(b_ahead ? sizeof(T) * ceil_div(all, n_blocks) * nr * k_most : 0);
  Strips<T> strips(a, all, ceil_div(m, m_blocks), k_most);

  const auto pack_panel = [&](int64_t k0, int64_t k1, int64_t p, T* to) {
    kernels.pack(k1 - k0, panels.columns(p), b.at(k0, panels.begin(p)), b.column_stride,
                 b.row_stride, to, static_cast<int>(nr));
  };
  // Can the tile that meets panel p first pack it?
  const auto by_tile = [&](int64_t p) { return unit_columns(b) && panels.columns(p) == nr; };
  const bool far = ready && k * n * int64_t{sizeof(T)} > kNearBytes && strips.count() > 1 &&
                   strips.count() < kFewStrips;
  const int64_t in_l2 = std::max<int64_t>(1, kGroupBytes / (nr * k_most * int64_t{sizeof(T)}));

  for (int64_t kb = 0; kb < k_blocks; ++kb) {
    const int64_t k0 = cut(k, k_blocks, kb), k1 = cut(k, k_blocks, kb + 1), k_size = k1 - k0;
    const Epilogue<T> block = block_epilogue(epilogue, kb == 0, kb == k_blocks - 1);
    for (int64_t mb = 0; mb < m_blocks; ++mb) {
      const int64_t m0 = cut(m, m_blocks, mb), m1 = cut(m, m_blocks, mb + 1);
      strips.take(m0, m1, k0, k1);
      for (int64_t nb = 0; nb < n_blocks; ++nb) {
        const int64_t p0 = cut(all, n_blocks, nb), p1 = cut(all, n_blocks, nb + 1);
        if (b_ahead && (mb == 0 || n_blocks > 1)) {
          parallel_for(p1 - p0, static_cast<double>(k_size * (p1 - p0) * nr) / 4, [&](int64_t p) {
            pack_panel(k0, k1, p0 + p, packed_b.as<T>() + p * nr * k_size);
          });
        }
        // As many groups for each thread, where there are enough panels.
        const int64_t least = std::max(ceil_div(p1 - p0, in_l2),
                                       std::min(chunks_most, threads == 1 ? 1 : 4 * threads));
        const int64_t groups = std::min(p1 - p0, ceil_div(least, threads) * threads);
        parallel_for(
            row_blocks * groups, multiply_nanoseconds<T>(m1 - m0, n, k_size), [&](int64_t chunk) {
              const int64_t r = chunk / groups, group = chunk % groups;
              const int64_t first = p0 + cut(p1 - p0, groups, group);
              const int64_t last = p0 + cut(p1 - p0, groups, group + 1);
              Scratch packed(own ? sizeof(T) * (last - first) * nr * k_size : 0);
              T* const kept_b =
                  b_ahead ? packed_b.as<T>() + (first - p0) * nr * k_size : packed.as<T>();
              const T* const from_b = ready ? ready + (k0 * all + first * k_size) * nr : kept_b;
              for (int64_t p = first; own && p < last; ++p)
                if (!by_tile(p)) pack_panel(k0, k1, p, kept_b + (p - first) * nr * k_size);
              const int64_t begin = cut(strips.count(), row_blocks, r);
              for (int64_t t = begin; t < cut(strips.count(), row_blocks, r + 1); ++t) {
                const int64_t i = strips.begin(t);
                const int rows = static_cast<int>(strips.begin(t + 1) - i);
                const Rows<T> from = strips.rows(t);
                for (int64_t p = first; p < last; ++p) {
                  const int64_t j = panels.begin(p), panel = (p - first) * nr * k_size;
                  Epilogue<T> e = at(block, i, j);
                  if (far && p + 1 < all)
                    e.beside = next_panel(from_b + panel, nr * k_size, strips.count(), t);
                  if (block.addend && k_size >= 64)
                    prefetch_addend(block, i, j, rows, panels.columns(p));
                  if (own && t == begin && by_tile(p))
                    kernels.tile_packing(k_size, from, b.at(k0, j), b.row_stride, kept_b + panel,
                                         c.at(i, j), c.row_stride, rows, e);
                  else
                    kernels.tile(k_size, from, from_b + panel, nr, true, c.at(i, j), c.row_stride,
                                 rows, panels.columns(p), e);
                }
                if (finish && kb == k_blocks - 1) {
                  const int64_t left = panels.begin(first);
                  finish_part(*finish, c, i, left, rows, panels.begin(last) - left);
                }
              }
            });
      }
    }
  }
}

}  // namespace

template <class T>
void multiply_tiles(const Matrix<const T>& a, const Matrix<const T>& b, const Matrix<T>& c,
                    const Epilogue<T>& given, const Finish<T>* end_of_sums, const T* ready) {
  std::optional<Finish<T>> left;
  if (end_of_sums) left = *end_of_sums;
  const Epilogue<T> epilogue = left ? tile_epilogue(given, left) : given;
  const Finish<T>* const finish = left ? &*left : nullptr;
  const int64_t k = a.columns, products = c.rows * c.columns * k;
  const bool small = products <= kDirect && k <= matmul_kernels<T>().kc;
  if (k == 0 || (!ready && unit_columns(b) && small))
    multiply_direct(a, b, c, epilogue, finish);
  else if (const WhereB where = ready ? WhereB::packed : where_b(a, b); where == WhereB::in_place)
    multiply_in_place(a, b, c, epilogue, finish);
  else if (where == WhereB::far)
    multiply_far(a, b, c, epilogue, finish);
  else
    multiply_blocked(a, b, c, epilogue, finish, ready);
}

template void multiply_tiles<float>(const Matrix<const float>&, const Matrix<const float>&,
                                    const Matrix<float>&, const Epilogue<float>&,
                                    const Finish<float>*, const float*);
template void multiply_tiles<double>(const Matrix<const double>&, const Matrix<const double>&,
                                     const Matrix<double>&, const Epilogue<double>&,
                                     const Finish<double>*, const double*);

}  // namespace fd
