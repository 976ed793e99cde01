// The dimensions of an operation over one or several arrays of one shape, ordered and merged for
// walking memory, and the array its result is written to.
#pragma once
#include <algorithm>
#include <initializer_list>
#include <optional>

#include "array.h"
#include "memory.h"
#include "threads.h"

namespace fd {
constexpr int kOperands = 3;

struct Loop {
  int64_t size;
  int64_t stride[kOperands];
  bool reduced;
};

// Loops from outermost to innermost.
struct Loops {
  int count = 0;
  Loop loop[kMaxDims + 1];

  void add(const Loop& l) { loop[count++] = l; }
  void merge();  // drops loops of size 1, joins neighbours that are one run in every operand
  int64_t size() const;
  // Offset of the point `index`, counted in C order, in operand `k`.
  int64_t offset(int64_t index, int k) const;
};

// The dimensions of `a` from outermost to innermost in memory; those with stride 0 or size 1 stay
// where they are, as in torch.
void memory_order(const Array& a, int* order);

// The loops over `arrays` (of one shape), merged, in the given order of dimensions.
Loops make_loops(std::initializer_list<const Array*> arrays, const int* order,
                 uint32_t reduced = 0);

// Copies elements of equal dtype between arrays of one shape.
void copy(const Array& from, const Array& to);

// Reads a `dim` argument: None for all, an int, or a sequence of distinct ints. False if it is
// none.
bool parse_dims(py::handle dim, int ndim, uint32_t& mask);
bool parse_dim(py::handle dim, int ndim, int& axis);
// Options of exactly these Python types; False for others, whose error Python words.
bool parse_bool(py::handle option, bool& value);
bool parse_int(py::handle option, int64_t& value);
bool parse_number(py::handle option, double& value);  // an int or a float

// parallel_for that holds the GIL for small work only.
template <class F>
void run_chunks(int64_t chunks, double nanoseconds, F&& body) {
  if (nanoseconds < kSerialNanoseconds) {
    for (int64_t i = 0; i < chunks; ++i) body(i);
    return;
  }
  py::gil_scoped_release release;
  parallel_for(chunks, nanoseconds, body);
}
bool same_shape(const Array& a, const Array& b);

// Replaces `a` by a copy that is dense in the given order of dimensions, unless it is so already;
// the second asks only that the innermost dimension (of those larger than 1) have stride 1.
void make_dense(Array& a, const int* order, std::optional<Scratch>& scratch);
void make_inner_dense(Array& a, const int* order, std::optional<Scratch>& scratch);

// Loops with one reduced axis, for kernels that walk rows (the axis innermost, m == 1) or columns
// (a kept loop of m innermost).
struct AxisLoops {
  Loops outer;
  int64_t n = 1, m = 1;
  int64_t stride[kOperands] = {1, 1, 1};  // of the axis
  int64_t step[kOperands] = {};           // of the innermost outer loop

  explicit AxisLoops(const Loops& loops);

  // Calls body(first outer index, count of neighbours, first column, columns) for everything, in
  // chunks of about `chunk` elements; columns are cut at multiples of `tile` when n is long.
  template <class F>
  void parallel(int64_t chunk, int64_t tile, double nanoseconds, F&& body) const {
    const int64_t rows = outer.size(), inner = outer.count ? outer.loop[outer.count - 1].size : 1;
    const bool tiled = m > tile && n * m > chunk;
    const int64_t tiles = tiled ? (m + tile - 1) / tile : 1, units = rows * tiles;
    const int64_t unit_size = n * (tiled ? tile : m);
    const int64_t group = unit_size < chunk ? chunk / unit_size : 1;
    run_chunks((units + group - 1) / group, nanoseconds, [&](int64_t c) {
      const int64_t end = std::min(units, (c + 1) * group);
      for (int64_t u = c * group; u < end;) {
        const int64_t row = u / tiles, column = u % tiles * tile;
        const int64_t count = tiled ? 1 : std::min(end - u, inner - row % inner);
        body(row, count, column, tiled ? std::min(tile, m - column) : m);
        u += count;
      }
    });
  }
};

// The result of an operation: a new array, or the caller's `out`. Kernels write it densely, in the
// given order of dimensions; `done` copies to an `out` of other strides.
class Output {
 public:
  // False if `out` does not fit or shares memory with an input.
  bool make(py::handle out, DType dtype, int ndim, const int64_t* shape, const int* order,
            std::initializer_list<const Array*> inputs);
  const Array& dense() const { return dense_; }
  const Array& array() const { return array_; }
  py::object done();

 private:
  py::object object_;
  Array array_, dense_;
  std::optional<Scratch> scratch_;
};
}  // namespace fd
