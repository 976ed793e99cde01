// Products of numbers narrower than 32 bits: the loops that bfloat16 and 8-bit integers share.
// Included by matmul_bf16.inc and matmul_int8.inc.
//
// Both operands are packed in words of 32 bits: 2 bfloat16 or 4 bytes of neighbouring k of one row
// of A or column of B. A panel of A holds the rows of one tile, a panel of B kWordColumns columns,
// word by word of k: panel[word * width + w]. What is missing of the last word of k is 0; what is
// missing of the last panel's columns is never used.
//
// The tile is that of matmul.inc, M x 2 vectors of sums, with a step of k being a word: vdpbf16ps
// and vpdpbusd do two or four products a lane. Where the machine has no such instruction, a word's
// products are done in two parts (`P::parts`), each a load, a shift or mask, and a multiply-add.
#pragma once
#include "vec.inc"

namespace fd::FD_ISA {
namespace {

// The rows of a tile, as in matmul.inc but for AVX2 and NEON, where unpacking takes registers.
constexpr int kWordRows = FD_VEC_BYTES == 64       ? 14
                          : FD_VEC_REGISTERS == 32 ? 12
                          : FD_VEC_BYTES == 32     ? 5
                                                   : 4;
constexpr int kWordColumns = 2 * VecI::N;

using Word = uint32_t;

// Keeps gcc from unpacking words in general registers.
FD_INLINE VecI in_vector(VecI x) {
#if defined(__x86_64__)
  asm("" : "+v"(x.v));
#elif defined(__aarch64__)
  asm("" : "+w"(x.v));
#endif
  return x;
}

template <class P, int M, int NV>
FD_INLINE void sum_words(int64_t words, const Word* a, const Word* b,
                         typename P::Sum (&sum)[M][NV]) {
#pragma GCC unroll 1
  for (int64_t k = 0; k < words; ++k, a += M, b += kWordColumns) {
#pragma GCC unroll 2
    for (int part = 0; part < P::parts; ++part) {
      if (part > 0) asm volatile("" ::: "memory");  // or words of A stay, and sums are spilled
      typename P::Operand right[NV];
#pragma GCC unroll 2
      for (int j = 0; j < NV; ++j)
        right[j] = P::right(part, VecI::load(reinterpret_cast<const int*>(b) + j * VecI::N));
#pragma GCC unroll 16
      for (int i = 0; i < M; ++i) {
        VecI word = VecI::set(static_cast<int32_t>(a[i]));
        if (P::parts > 1) word = in_vector(word);
        const typename P::Operand left = P::left(part, word);
#pragma GCC unroll 2
        for (int j = 0; j < NV; ++j) sum[i][j] = P::dot(sum[i][j], left, right[j]);
      }
    }
  }
}

template <class T>
constexpr int kPerWord = 4 / sizeof(T);

// n elements as lanes of words; the others are 0.
template <class T>
FD_INLINE VecI widen(const T* p, int n) {
#if FD_VEC_BYTES == 64
  const auto lanes = VecI::first_n(n).m;
  if constexpr (sizeof(T) == 2)
    return {(I32)_mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(lanes, p))};
  else
    return {(I32)_mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(lanes, p))};
#else
  VecI x = VecI::zero();
  for (int i = 0; i < VecI::N; ++i) x.v[i] = i < n ? p[i] : 0;
  return x;
#endif
}

// Lanes of b after those of a, in 16-byte parts of both: the lower or upper half of each part.
template <class Lane, int upper, int... I>
FD_INLINE VecI unpack(VecI a, VecI b, Lanes<I...>) {
  using V = typename Register<Lane>::type;
  constexpr int N = FD_VEC_BYTES / sizeof(Lane), part = 16 / sizeof(Lane);
  const V index = {
      static_cast<Lane>(I / part * part + I % part / 2 + upper * part / 2 + I % 2 * N)...};
  return {(I32)__builtin_shuffle((V)a.v, (V)b.v, index)};
}
template <class Lane, int upper>
FD_INLINE VecI unpack(VecI a, VecI b) {
  return unpack<Lane, upper>(a, b, Iota<FD_VEC_BYTES / sizeof(Lane)>());
}
// Runs of `size` lanes: a0 b0 a1 b1 ..., in two vectors.
template <int size>
FD_INLINE void zip(VecI a, VecI b, VecI& low, VecI& high) {
  constexpr int N = VecI::N;
  low = shuffle(a, b, [](int i) { return i / size / 2 * size + i % size + i / size % 2 * N; });
  high = shuffle(
      a, b, [](int i) { return (i + N) / size / 2 * size + i % size + (i + N) / size % 2 * N; });
}

// The words of a vector's width of columns, from rows k_stride apart.
FD_INLINE void words_of_rows(const uint16_t* from, int64_t k_stride, VecI (&out)[2]) {
  const auto row = [&](int g) {
    return VecI::load(reinterpret_cast<const int*>(from + g * k_stride));
  };
  const VecI low = unpack<uint16_t, 0>(row(0), row(1)), high = unpack<uint16_t, 1>(row(0), row(1));
  zip<4>(low, high, out[0], out[1]);
}
FD_INLINE void words_of_rows(const uint8_t* from, int64_t k_stride, VecI (&out)[4]) {
  const auto row = [&](int g) {
    return VecI::load(reinterpret_cast<const int*>(from + g * k_stride));
  };
  VecI part[4];
  const VecI low[] = {unpack<uint8_t, 0>(row(0), row(1)), unpack<uint8_t, 0>(row(2), row(3))};
  const VecI high[] = {unpack<uint8_t, 1>(row(0), row(1)), unpack<uint8_t, 1>(row(2), row(3))};
  part[0] = unpack<uint16_t, 0>(low[0], low[1]);
  part[1] = unpack<uint16_t, 1>(low[0], low[1]);
  part[2] = unpack<uint16_t, 0>(high[0], high[1]);
  part[3] = unpack<uint16_t, 1>(high[0], high[1]);
  if constexpr (VecI::N == 4) {
    for (int i = 0; i < 4; ++i) out[i] = part[i];
  } else {
    VecI left[2], right[2];
    zip<4>(part[0], part[1], left[0], left[1]);
    zip<4>(part[2], part[3], right[0], right[1]);
    zip<8>(left[0], right[0], out[0], out[1]);
    zip<8>(left[1], right[1], out[2], out[3]);
  }
}

// Columns of the panels contiguous in the source: a word is put together from its rows, a vector's
// width of columns at a time where the panels are as wide as that.
template <class T, class Note>
void pack_word_rows(int64_t k_size, int count, const T* source, int64_t k_stride, Word flip,
                    Word* panels, int width, Note& note) {
  constexpr int G = kPerWord<T>, bits = 8 * sizeof(T), ahead = 12, N = VecI::N, run = G * N;
  const int64_t words = (k_size + G - 1) / G;
  for (int64_t word = 0; word < words; ++word, source += G * k_stride) {
    const int rows = k_size - word * G < G ? static_cast<int>(k_size - word * G) : G;
    const VecI flipped =
        VecI::set(static_cast<int32_t>(rows == G ? flip : flip & ((Word(1) << rows * bits) - 1)));
    Word* to = panels + word * width;
    int column = 0;
    if (width == kWordColumns && rows == G) {
      for (; column + run <= count; column += run) {
        VecI x[G];
        words_of_rows(source + column, k_stride, x);
#pragma GCC unroll 4
        for (int g = 0; g < G; ++g) {
          __builtin_prefetch(source + column + (g + ahead * G) * k_stride);
          const int at = column + g * N;
          x[g] = x[g] ^ flipped;
          note.add(x[g]);
          x[g].store(reinterpret_cast<int*>(to + at / kWordColumns * words * kWordColumns +
                                            at % kWordColumns));
        }
      }
    }
    for (; column < count; column += N) {
      const int n = count - column < N ? count - column : N;
      VecI x = VecI::zero();
      for (int g = 0; g < rows; ++g) x = x | widen(source + g * k_stride + column, n) << g * bits;
      x = select(VecI::first_n(n), x ^ flipped, VecI::zero());
      note.add(x);
      const int w = column % width, lanes = width - w < N ? width - w : N;
      x.store(reinterpret_cast<int*>(to + column / width * words * width + w), lanes);
    }
  }
}

// k contiguous in the source: words lie ready there, N x N of them are transposed at a time.
template <class T, class Note>
void pack_word_columns(int64_t k_size, int count, const T* source, int64_t w_stride, Word flip,
                       Word* panel, int width, Note& note) {
  constexpr int N = VecI::N, G = kPerWord<T>;
  const int64_t whole = k_size / G;
  const int end = static_cast<int>(k_size - whole * G);
  const VecI flipped = VecI::set(static_cast<int32_t>(flip));
  const int most = count < width ? count : width;
  for (int w = 0; w < most; w += N) {
    const int lanes = most - w < N ? most - w : N, stored = width - w < N ? width - w : N;
    const T* from = source + w * w_stride;
    Word* to = panel + w;
    for (int64_t k = 0; k < whole; k += N, from += N * G, to += N * width) {
      const int rest = whole - k < N ? static_cast<int>(whole - k) : N;
      const VecI whole_words = select(VecI::first_n(rest), flipped, VecI::zero());
      VecI block[N];
#pragma GCC unroll 16
      for (int i = 0; i < N; ++i) {  // the last column again for those that are missing
        const int* words =
            reinterpret_cast<const int*>(from + (i < lanes ? i : lanes - 1) * w_stride);
        __builtin_prefetch(words + 4 * N);
        block[i] = (rest == N ? VecI::load(words) : VecI::load(words, rest)) ^ whole_words;
        note.add(block[i]);
      }
      transpose(block);
#pragma GCC unroll 16
      for (int i = 0; i < N; ++i) {
        if (i >= rest) break;
        block[i].store(reinterpret_cast<int*>(to + i * width), stored);
      }
    }
    for (int i = 0; end && i < lanes; ++i) {
      Word word = 0;
      __builtin_memcpy(&word, source + (w + i) * w_stride + whole * G, end * sizeof(T));
      word ^= flip & ((Word(1) << end * 8 * sizeof(T)) - 1);
      note.add(VecI::set(static_cast<int32_t>(word)));
      panel[whole * width + w + i] = word;
    }
  }
}

// Panels of `width` columns, back to back, from `count` columns of the source, whose element (k, w)
// is source[k * k_stride + w * w_stride]; `flip` is xored onto each word. Fast when either stride
// is 1.
template <class T, class Note>
void pack_words(int64_t k_size, int count, const T* source, int64_t w_stride, int64_t k_stride,
                Word flip, Word* panels, int width, Note& note) {
  constexpr int G = kPerWord<T>;
  if (w_stride == 1 && (count > 1 || k_stride != 1))
    return pack_word_rows(k_size, count, source, k_stride, flip, panels, width, note);
  const int64_t words = (k_size + G - 1) / G;
  for (; count > 0; count -= width, source += width * w_stride, panels += words * width) {
    if (k_stride == 1) {
      pack_word_columns(k_size, count, source, w_stride, flip, panels, width, note);
      continue;
    }
    for (int64_t word = 0; word < words; ++word) {
      const int64_t k = word * G;
      const int rows = k_size - k < G ? static_cast<int>(k_size - k) : G;
      for (int w = 0; w < width && w < count; ++w) {
        T elements[G] = {};
        for (int g = 0; g < rows; ++g) elements[g] = source[(k + g) * k_stride + w * w_stride];
        Word packed;
        __builtin_memcpy(&packed, elements, sizeof packed);
        packed ^= rows == G ? flip : flip & ((Word(1) << rows * 8 * sizeof(T)) - 1);
        note.add(VecI::set(static_cast<int32_t>(packed)));
        panels[word * width + w] = packed;
      }
    }
  }
}

}  // namespace
}  // namespace fd::FD_ISA
