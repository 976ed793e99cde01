// sort and topk along one axis, stable, NaN the largest.
//
// Every row becomes unsigned keys whose order is the order wanted, each with the place it came
// from: 32-bit keys share a word with it, 64-bit ones stand beside it. Equal keys are thus ordered
// by place, which is what stable means, with any algorithm. Long rows are sorted by radix, 11 bits
// a pass, leaving out passes in which all keys agree; short ones by comparison; the k largest of
// many are first set apart. Rows are shared among threads. Integer code throughout, so it is
// compiled once: instruction sets have nothing to add.
#include <algorithm>
#include <cstring>
#include <utility>

#include "array.h"
#include "loops.h"

namespace fd {
namespace {

constexpr int64_t kRadixFrom = 512;  // below it comparisons win
constexpr int kDigit = 11, kBuckets = 1 << kDigit;
constexpr int64_t kNarrowFrom = 1 << 17;  // 2048 streams into that much miss the TLB

struct Wide {
  uint64_t key;
  uint64_t place;
  bool operator<(const Wide& b) const { return key < b.key || (key == b.key && place < b.place); }
};

// Of floats: zeros are equal, NaN are equal and above infinity; bits of negative numbers go down.
// Without branches, which random signs would mispredict.
template <class Word, class T>
Word float_key(T value) {
  constexpr int bits = 8 * sizeof(Word);
  constexpr Word top = Word(1) << (bits - 1), infinity = bits == 32 ? 0x7F800000u : 0x7FFull << 52;
  Word word;
  std::memcpy(&word, &value, sizeof word);
  const Word size = word & ~top;
  word &= ~(Word(size != 0) - 1);
  return (word ^ (-(word >> (bits - 1)) | top)) | -Word(size > infinity);
}
uint32_t key_of(float v) { return float_key<uint32_t>(v); }
uint64_t key_of(double v) { return float_key<uint64_t>(v); }
uint32_t key_of(uint8_t v) { return v; }
uint32_t key_of(int32_t v) { return static_cast<uint32_t>(v) ^ 0x80000000u; }
uint64_t key_of(int64_t v) { return static_cast<uint64_t>(v) ^ (uint64_t(1) << 63); }

// Items of either form: how to make one of a key, its key's digits, and its place.
template <class T, bool wide = sizeof(key_of(T())) == 8>
struct Form {
  using Item = uint64_t;
  using Key = uint32_t;
  static constexpr int kBits = sizeof(T) == 1 ? 8 : 32, kShift = 32;
  static Item make(Key key, int64_t place) {
    return static_cast<uint64_t>(key) << 32 | static_cast<uint32_t>(place);
  }
  static Key key(Item i) { return static_cast<Key>(i >> 32); }
  static uint64_t word(Item i) { return i; }
  static int64_t place(Item i) { return static_cast<int64_t>(i & 0xFFFFFFFFu); }
};
template <class T>
struct Form<T, true> {
  using Item = Wide;
  using Key = uint64_t;
  static constexpr int kBits = 64, kShift = 0;
  static Item make(Key key, int64_t place) { return {key, static_cast<uint64_t>(place)}; }
  static Key key(const Item& i) { return i.key; }
  static uint64_t word(const Item& i) { return i.key; }
  static int64_t place(const Item& i) { return static_cast<int64_t>(i.place); }
};

// Sorts items[0, n), with room for as many; returns where the sorted ones are.
template <class F>
typename F::Item* radix_sort(typename F::Item* items, typename F::Item* room, int64_t n) {
  int64_t counts[kBuckets];
  const int digit = n > kNarrowFrom ? 8 : kDigit;
  for (int bit = 0; bit < F::kBits; bit += digit) {
    const int shift = F::kShift + bit;
    const uint64_t mask = (uint64_t(1) << std::min(digit, F::kBits - bit)) - 1;
    std::fill(counts, counts + kBuckets, 0);
    for (int64_t i = 0; i < n; ++i) ++counts[F::word(items[i]) >> shift & mask];
    if (counts[F::word(items[0]) >> shift & mask] == n) continue;
    int64_t sum = 0;
    for (int64_t& count : counts) sum += std::exchange(count, sum);
    for (int64_t i = 0; i < n; ++i) room[counts[F::word(items[i]) >> shift & mask]++] = items[i];
    std::swap(items, room);
  }
  return items;
}

struct Row {
  const void* x;
  void* values;
  int64_t* places;
  int64_t n, k;        // of n elements the first k in order are wanted
  int64_t xs, vs, ps;  // strides in elements
  bool descending;
};

// Writes the first k of the sorted items.
template <class F, class T>
void finish(const Row& r, const T* x, const typename F::Item* items) {
  T* values = static_cast<T*>(r.values);
  for (int64_t i = 0; i < r.k; ++i) {
    const int64_t place = F::place(items[i]);
    values[i * r.vs] = x[place * r.xs];
    r.places[i * r.ps] = place;
  }
}

// Sets apart and sorts the first k of a row's n items, k < n / 8: those that come before the last
// of the k best so far are kept until there are too many. Soon hardly any is, so keys are compared
// a block at a time: 50257 numbers for k = 50 took 820 us an item at a time.
template <class F, class T>
void first_items(const Row& r, const T* x, typename F::Item* items) {
  using Key = typename F::Key;
  constexpr int kBlock = 64;
  const int64_t room = 2 * r.k + 32;
  const Key flip = r.descending ? ~Key(0) : 0;
  int64_t count = 0;
  Key last = 0;  // a later item with the same key comes behind
  bool full = false;
  for (int64_t first = 0; first < r.n; first += kBlock) {
    const int n = static_cast<int>(std::min<int64_t>(kBlock, r.n - first));
    Key keys[kBlock];
    if (r.xs == 1)
      for (int j = 0; j < n; ++j) keys[j] = key_of(x[first + j]) ^ flip;
    else
      for (int j = 0; j < n; ++j) keys[j] = key_of(x[(first + j) * r.xs]) ^ flip;
    if (full) {
      Key some = 0;
      for (int j = 0; j < n; ++j) some |= static_cast<Key>(keys[j] < last);
      if (!some) continue;
    }
    for (int j = 0; j < n; ++j) {
      if (full && !(keys[j] < last)) continue;
      items[count++] = F::make(keys[j], first + j);
      if (count < room) continue;
      std::nth_element(items, items + r.k - 1, items + count);
      last = F::key(items[r.k - 1]);
      count = r.k;
      full = true;
    }
  }
  std::sort(items, items + count);
}

template <class T>
void sort_row(const Row& r, void* scratch) {
  using F = Form<T>;
  using Item = typename F::Item;
  const T* x = static_cast<const T*>(r.x);
  Item* items = static_cast<Item*>(scratch);
  if (r.k == 0) return;
  if (r.k < r.n / 8) {
    first_items<F>(r, x, items);
    finish<F>(r, x, items);
    return;
  }
  const typename F::Key flip = r.descending ? ~typename F::Key(0) : 0;
  for (int64_t i = 0; i < r.n; ++i) items[i] = F::make(key_of(x[i * r.xs]) ^ flip, i);
  if (r.n < kRadixFrom) {
    std::sort(items, items + r.n);
  } else {
    items = radix_sort<F>(items, items + r.n, r.n);
  }
  finish<F>(r, x, items);
}

py::object sort(py::handle x_object, py::handle dim, bool descending, py::handle count,
                py::handle values_out, py::handle places_out) {
  Array x;
  int axis;
  int64_t k;
  if (!view(x_object, x) || !parse_dim(dim, x.ndim, axis)) return declined();
  int64_t shape[kMaxDims] = {};
  std::copy_n(x.shape, kMaxDims, shape);
  const int ndim = x.ndim;
  if (ndim == 0) {
    x.ndim = 1;
    x.shape[0] = x.stride[0] = 1;
  }
  const int64_t n = x.shape[axis];
  if (count.is_none())
    k = n;
  else if (!parse_int(count, k) || k < 0 || k > n)
    return declined();
  if (n >= int64_t(1) << 32) return declined();
  if (ndim) shape[axis] = k;
  if (ndim == 0 && k == 0) return declined();
  Output values, places;
  if (!values.make(values_out, x.dtype, ndim, shape, nullptr, {&x}) ||
      !places.make(places_out, DType::i64, ndim, shape, nullptr, {&x}) ||
      may_overlap(values.array(), places.array()))
    return declined();
  Array v = values.dense(), p = places.dense();
  if (v.size() > 0) {
    if (ndim == 0) v.ndim = p.ndim = 1, v.stride[0] = p.stride[0] = 1, v.shape[0] = 1;
    Loops loops;
    for (int d = 0; d < x.ndim; ++d)
      if (d != axis) loops.add({x.shape[d], {x.stride[d], v.stride[d], p.stride[d]}, false});
    loops.merge();
    const int64_t rows = loops.size(), item = itemsize(x.dtype);
    const int64_t group = std::max<int64_t>(1, 1024 / n);
    const double nanoseconds = 10 * static_cast<double>(rows * n);
    const auto run = x.dtype == DType::f32   ? sort_row<float>
                     : x.dtype == DType::f64 ? sort_row<double>
                     : x.dtype == DType::i32 ? sort_row<int32_t>
                     : x.dtype == DType::i64 ? sort_row<int64_t>
                                             : sort_row<uint8_t>;
    const size_t bytes = static_cast<size_t>(2 * n) * (item == 8 ? sizeof(Wide) : 8);
    run_chunks((rows + group - 1) / group, nanoseconds, [&](int64_t c) {
      const Scratch scratch(bytes);
      for (int64_t row = c * group; row < std::min(rows, (c + 1) * group); ++row)
        run({x.ptr<char>() + loops.offset(row, 0) * item,
             v.ptr<char>() + loops.offset(row, 1) * item, p.ptr<int64_t>() + loops.offset(row, 2),
             n, k, x.stride[axis], v.stride[axis], p.stride[axis], descending},
            scratch.as<void>());
    });
  }
  return py::make_tuple(values.done(), places.done());
}

}  // namespace

void bind_shape_sort(py::module_& m) {
  const auto none = py::none();
  m.def("sort", sort, py::arg("x"), py::arg("dim"), py::arg("descending"), py::arg("k") = none,
        py::arg("values") = none, py::arg("places") = none);
}
}  // namespace fd
