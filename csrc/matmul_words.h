// How products of numbers narrower than 32 bits are cut into blocks, packed and shared out to the
// threads; what bfloat16 and 8-bit integers have in common. Words: kernels/cpu/matmul_words.h.
#pragma once
#include <algorithm>

#include "isa.h"
#include "matmul.h"
#include "memory.h"
#include "parts.h"
#include "threads.h"

namespace fd {
namespace words {

//                                    in words
constexpr int64_t kMc = 336;                // rows of A in a block at most
constexpr int64_t kBlock = 172032;          // words of A in a block: two thirds of L2
constexpr int64_t kKc = 1024;               // of a sum in a block
constexpr int64_t kNc = 4096;               // columns of B packed at once
constexpr int64_t kPanelRows = 8;           // row blocks of packed A kept at once
constexpr int64_t kChunk = 1 << 20;         // products worth a chunk of its own
constexpr int64_t kGroup = 8 << 20;         // products in a chunk, about
constexpr int64_t kGroupBytes = 512 << 10;  // of packed B in it
constexpr int64_t kChunks = 16;             // wanted, to balance the load of a few cores
constexpr int64_t kPackPanels = 4;  // packed by one chunk, so that rows of B are read by the line

// An estimate for one thread.
inline double nanoseconds(int64_t m, int64_t n, int64_t words) {
  const double products = static_cast<double>(m) * static_cast<double>(n);
  return 20 + products * static_cast<double>(words) / 100 +
         static_cast<double>(words) * static_cast<double>(m + n) / 8;
}

// Rows [i, i + rows) of C, which are tile number `index` of A.
struct Tile {
  int64_t index, i;
  int rows;
};
inline Tile tile_of(int64_t m, int64_t tiles, int64_t index) {
  const int64_t rows = m / tiles, longer = m % tiles;
  return {index, index * rows + std::min(index, longer), static_cast<int>(rows + (index < longer))};
}
// A block of the sums: terms [k0, k1).
struct Block {
  int64_t k0, k1, words;
  bool first, last;
};

// Does c = a @ b by a `Work`, which has the operands and
//   kernels.mr, kernels.nr, kPerWord
//   pack_a(block, tile, to, again)       `again`: for other columns of B
//   pack_b(block, first, last, to)       panels, numbered from the left of C
//   multiply(block, tile, first, last, a, b)   packed operands, panels first to last
//   start(tiles, panels, blocks)         before all of them
// The sums' blocks and all else depend on shapes alone.
template <class Work>
void multiply(Work& work, int64_t m, int64_t n, int64_t k) {
  const int64_t mr = work.kernels.mr, nr = work.kernels.nr;
  const int64_t words = ceil_div(k, Work::kPerWord);
  const int64_t k_blocks = std::max<int64_t>(1, ceil_div(words, kKc));
  const int64_t k_most = ceil_div(words, k_blocks);
  const int64_t tiles = ceil_div(m, mr), panels = ceil_div(n, nr);
  // Rows in as few blocks as L2 allows, but enough of them for all cores when columns are few.
  const int64_t row_blocks =
      std::max({ceil_div(m, kMc), ceil_div(m * k_most, kBlock),
                std::min({ceil_div(kChunks, panels), tiles, ceil_div(m * n * words, kChunk)})});
  const bool b_ahead = row_blocks > 1;
  const int64_t n_blocks = ceil_div(n, kNc), m_blocks = ceil_div(row_blocks, kPanelRows);
  const int64_t panels_most = ceil_div(panels, n_blocks);
  const int64_t tiles_of_block = ceil_div(tiles, row_blocks);
  const int64_t rows_most = ceil_div(row_blocks, m_blocks) * tiles_of_block * mr;
  const int64_t group_most = std::max<int64_t>(
      1, std::min({ceil_div(kGroup, std::max<int64_t>(1, tiles_of_block * mr * nr * k_most)),
                   kGroupBytes / (nr * 4 * std::max<int64_t>(1, k_most)),
                   ceil_div(panels * row_blocks, kChunks / 2)}));
  Scratch packed_a(4 * rows_most * k_most);
  Scratch packed_b(b_ahead ? 4 * panels_most * nr * k_most : 0);
  work.start(tiles, panels, k_blocks);

  for (int64_t kb = 0; kb < k_blocks; ++kb) {
    const int64_t w0 = cut(words, k_blocks, kb), w1 = cut(words, k_blocks, kb + 1);
    const Block block{w0 * Work::kPerWord, std::min(k, w1 * Work::kPerWord), w1 - w0, kb == 0,
                      kb == k_blocks - 1};
    for (int64_t nb = 0; nb < n_blocks; ++nb) {
      const int64_t p0 = cut(panels, n_blocks, nb), p1 = cut(panels, n_blocks, nb + 1);
      for (int64_t mb = 0; mb < m_blocks; ++mb) {
        const int64_t r0 = cut(row_blocks, m_blocks, mb), r1 = cut(row_blocks, m_blocks, mb + 1);
        const int64_t i0 = tile_of(m, tiles, cut(tiles, row_blocks, r0)).i;
        const auto panel_of_a = [&](const Tile& tile) {
          return packed_a.as<uint32_t>() + (tile.i - i0) * block.words;
        };

        const int64_t a_chunks = r1 - r0;
        const int64_t b_chunks = b_ahead && mb == 0 ? ceil_div(p1 - p0, kPackPanels) : 0;
        const int64_t packed = b_chunks * kPackPanels * nr + a_chunks * tiles_of_block * mr;
        parallel_for(a_chunks + b_chunks, nanoseconds(0, packed, block.words), [&](int64_t chunk) {
          if (chunk >= a_chunks) {
            const int64_t p = p0 + kPackPanels * (chunk - a_chunks);
            work.pack_b(block, p, std::min(p + kPackPanels, p1),
                        packed_b.as<uint32_t>() + (p - p0) * nr * block.words);
            return;
          }
          const int64_t last = cut(tiles, row_blocks, r0 + chunk + 1);
          for (int64_t t = cut(tiles, row_blocks, r0 + chunk); t < last; ++t) {
            const Tile tile = tile_of(m, tiles, t);
            work.pack_a(block, tile, panel_of_a(tile), nb > 0);
          }
        });

        // A chunk is a block of rows and some panels.
        const int64_t groups = ceil_div(p1 - p0, group_most);
        const double cost = nanoseconds(m, n, block.words);
        parallel_for((r1 - r0) * groups, cost, [&](int64_t chunk) {
          const int64_t r = r0 + chunk / groups, group = chunk % groups;
          const int64_t first = p0 + cut(p1 - p0, groups, group);
          const int64_t last = p0 + cut(p1 - p0, groups, group + 1);
          Scratch own(b_ahead ? 0 : 4 * (last - first) * nr * block.words);
          if (!b_ahead) work.pack_b(block, first, last, own.as<uint32_t>());
          const uint32_t* b = b_ahead ? packed_b.as<uint32_t>() + (first - p0) * nr * block.words
                                      : own.as<uint32_t>();
          const int64_t end = cut(tiles, row_blocks, r + 1);
          for (int64_t t = cut(tiles, row_blocks, r); t < end; ++t) {
            const Tile tile = tile_of(m, tiles, t);
            work.multiply(block, tile, first, last, panel_of_a(tile), b);
          }
        });
      }
    }
  }
}
}  // namespace words
}  // namespace fd
