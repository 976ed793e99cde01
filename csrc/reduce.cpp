// Sum, mean, product, maximum, minimum and their places over any dimensions of an array of any
// strides.
//
// The dimensions are put in the order of memory, merged, and reduced one at a time from the
// innermost, each step over one axis (kernels/cpu/reduce.h) into a dense array, the last one into
// the result: NCHW over (0, 2, 3) is rows of H*W into [N, C], then columns. An axis longer than a
// block becomes blocks and a further step over their results. Every cut depends on shapes and
// strides only, so a result does not depend on the threads that made it.
#include "../kernels/cpu/reduce.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "reduce.h"

#include "isa.h"
#include "loops.h"

namespace fd {
namespace {

constexpr int64_t kChunk = 1 << 16;         // elements read by a chunk of parallel work
constexpr double kBytesPerNanosecond = 60;  // from L3

// One axis: the kept loops around it, the reduced axis cut into blocks, the kept loop inside it.
struct Step {
  Loops outer;
  int64_t n, rs, m = 1, cs = 0;
  int64_t block, blocks;

  Step(const Loops& loops, int axis) {
    n = loops.loop[axis].size;
    rs = loops.loop[axis].stride[0];
    const int last = loops.count - 1;
    for (int i = 0; i < last; ++i)
      if (i != axis) outer.add(loops.loop[i]);
    if (axis != last) {
      m = loops.loop[last].size;
      cs = loops.loop[last].stride[0];
    }
    block = m == 1 ? kRowBlock : column_block(n, rs, m, cs);
    blocks = std::max<int64_t>(1, (n + block - 1) / block);
  }

  int64_t results() const { return outer.size() * blocks * m; }

  // The loops over this step's results.
  Loops after() const {
    Loops loops = outer;
    int64_t stride = blocks * m;
    for (int i = loops.count - 1; i >= 0; --i) {
      loops.loop[i].stride[0] = stride;
      stride *= loops.loop[i].size;
    }
    loops.add({blocks, {m}, true});
    loops.add({m, {1}, false});
    loops.merge();
    return loops;
  }
};

// Calls run(strip, place of its first result in y) for all of a step, cut into chunks.
template <class F>
void run_step(const Step& s, const char* x, int64_t x_item, char* y, int64_t y_item, double divisor,
              F&& run) {
  const int64_t rows = s.outer.size(),
                inner = s.outer.count ? s.outer.loop[s.outer.count - 1].size : 1;
  const int64_t run_stride = s.outer.count ? s.outer.loop[s.outer.count - 1].stride[0] : 0;
  const bool tiled = s.m > kColumnTile && s.n * s.m > 2 * kChunk && s.cs == 1;
  const int64_t tiles = tiled ? (s.m + kColumnTile - 1) / kColumnTile : 1;
  const int64_t units = rows * s.blocks * tiles;
  const int64_t unit_size =
      std::max<int64_t>(1, std::min(s.n, s.block) * (tiled ? kColumnTile : s.m));
  const int64_t group = std::max<int64_t>(1, kChunk / unit_size);
  const double bytes = static_cast<double>(rows * s.n * s.m) * static_cast<double>(x_item);

  const auto chunk = [&](int64_t c) {
    const int64_t end = std::min(units, (c + 1) * group);
    for (int64_t u = c * group; u < end;) {
      const int64_t tile = u % tiles, b = u / tiles % s.blocks, o = u / tiles / s.blocks;
      const int64_t column = tile * kColumnTile;
      int64_t n = std::min(s.block, s.n - b * s.block), count = 1, xs = 0;
      if (tiles == 1 && s.blocks > 1 && n == s.block) {  // full blocks of one row
        count = std::min(end - u, s.n / s.block - b);
        xs = s.block * s.rs;
      } else if (tiles == 1 && s.blocks == 1) {  // neighbouring rows
        count = std::min(end - u, inner - o % inner);
        xs = run_stride;
      }
      const int64_t first = (o * s.blocks + b) * s.m + column;
      const ReduceStrip strip = {
          x + (s.outer.offset(o, 0) + b * s.block * s.rs + column * s.cs) * x_item,
          y + first * y_item,
          count,
          xs,
          s.m,
          n,
          s.rs,
          tiled ? std::min(kColumnTile, s.m - column) : s.m,
          s.cs,
          divisor};
      run(strip, first);
      u += count;
    }
  };
  run_chunks((units + group - 1) / group, bytes / kBytesPerNanosecond, chunk);
}

using Kernel = void (*)(const ReduceStrip&);

int innermost_reduced(const Loops& loops) {
  int axis = loops.count - 1;
  while (axis >= 0 && !loops.loop[axis].reduced) --axis;
  return axis;
}

// first: the kernel over x's dtype, then: the one over y's.
void reduce_all(Kernel first, Kernel then, const char* x, int64_t x_item, Loops loops, char* y,
                int64_t y_item, double divisor) {
  if (innermost_reduced(loops) < 0) loops.add({1, {1}, true});
  const int axis = innermost_reduced(loops);
  const Step step(loops, axis);
  const Loops rest = step.after();
  const auto kernel = [first](const ReduceStrip& strip, int64_t) { first(strip); };
  if (innermost_reduced(rest) < 0) {
    run_step(step, x, x_item, y, y_item, divisor, kernel);
    return;
  }
  Scratch partial(static_cast<size_t>(step.results() * y_item));
  run_step(step, x, x_item, partial.as<char>(), y_item, 1, kernel);
  reduce_all(then, then, partial.as<char>(), y_item, rest, y, y_item, divisor);
}

// Values and places along the one reduced loop.
void argmax_axis(bool least, int dtype, const char* x, int64_t item, Loops loops, char* y,
                 int64_t* index) {
  const auto kernel = FD_TABLE(reduce).argmax[least][dtype];
  if (innermost_reduced(loops) < 0) loops.add({1, {1}, true});
  const Step step(loops, innermost_reduced(loops));
  const auto run = [&](char* values, int64_t* places) {
    run_step(step, x, item, values, item, 1,
             [=](const ReduceStrip& strip, int64_t first) { kernel(strip, places + first); });
  };
  if (step.blocks == 1) {
    run(y, index);
    return;
  }
  const int64_t results = step.results();
  Scratch values(static_cast<size_t>(results * item)), places(static_cast<size_t>(results) * 8);
  run(values.as<char>(), places.as<int64_t>());
  argmax_axis(least, dtype, values.as<char>(), item, step.after(), y, index);
  const int64_t* inside = places.as<int64_t>();
  for (int64_t i = 0; i < results / step.blocks; ++i) {
    const int64_t b = index[i];
    index[i] = b * step.block + inside[(i / step.m * step.blocks + b) * step.m + i % step.m];
  }
}

// What remains of an array's shape, and its memory order.
struct Kept {
  int ndim = 0;
  int64_t shape[kMaxDims];
  int order[kMaxDims];

  Kept(const Array& x, const int* x_order, uint32_t reduced, bool keepdim) {
    int place[kMaxDims];
    for (int d = 0; d < x.ndim; ++d) {
      const bool gone = reduced >> d & 1;
      place[d] = gone && !keepdim ? -1 : ndim;
      if (place[d] >= 0) shape[ndim++] = gone ? 1 : x.shape[d];
    }
    for (int i = 0, k = 0; i < x.ndim; ++i)
      if (place[x_order[i]] >= 0) order[k++] = place[x_order[i]];
  }
};

int64_t terms(const Array& x, uint32_t reduced) {
  int64_t n = 1;
  for (int d = 0; d < x.ndim; ++d)
    if (reduced >> d & 1) n *= x.shape[d];
  return n;
}

void fill(const Array& y, double value) {
  const int64_t n = y.size();
  if (y.dtype == DType::f32) std::fill_n(y.ptr<float>(), n, static_cast<float>(value));
  if (y.dtype == DType::f64) std::fill_n(y.ptr<double>(), n, value);
  if (y.dtype == DType::i64) std::fill_n(y.ptr<int64_t>(), n, static_cast<int64_t>(value));
}

// Which partial results a reduction combines its own by.
Reduction after(Reduction what) { return what >= Reduction::sum_squares ? Reduction::sum : what; }

py::object reduce_any(Reduction what, bool mean, py::handle x_object, py::handle dim,
                      py::handle keep, py::handle out_object) {
  Array x;
  uint32_t mask;
  bool keepdim;
  if (!view(x_object, x) || !parse_dims(dim, x.ndim, mask)) return declined();
  if (!parse_bool(keep, keepdim)) return declined();
  const bool floats = x.dtype == DType::f32 || x.dtype == DType::f64;
  const bool selects = what == Reduction::max || what == Reduction::min;
  const auto& table = FD_TABLE(reduce).reduce;
  const auto kernel = table[static_cast<int>(what)][static_cast<int>(x.dtype)];
  if (!kernel || (mean && !floats)) return declined();
  const int64_t n = terms(x, mask);
  if (selects && n == 0) return declined();
  const DType dtype = selects || floats ? x.dtype : DType::i64;

  char* data = x.ptr<char>();
  int order[kMaxDims];
  memory_order(x, order);
  const Kept kept(x, order, mask, keepdim);
  Output out;
  if (!out.make(out_object, dtype, kept.ndim, kept.shape, kept.order, {&x})) return declined();
  const Array& y = out.dense();
  if (n == 0) {
    fill(y, mean ? std::numeric_limits<double>::quiet_NaN() : what == Reduction::product ? 1 : 0);
  } else if (y.size() > 0) {
    for (int d = 0; d < x.ndim; ++d)
      if ((mask >> d & 1) && x.stride[d] < 0) {  // any order does: walk it forwards
        data += (x.shape[d] - 1) * x.stride[d] * itemsize(x.dtype);
        x.stride[d] = -x.stride[d];
      }
    reduce_all(kernel, table[static_cast<int>(after(what))][static_cast<int>(dtype)], data,
               itemsize(x.dtype), make_loops({&x}, order, mask), y.ptr<char>(), itemsize(dtype),
               mean ? static_cast<double>(n) : 1);
  }
  return out.done();
}

// Values and indices over one dimension; either output may be thrown away.
bool argmax_dim(bool least, const Array& x, int axis, bool keepdim, py::handle values_out,
                py::handle index_out, Output& values, Output& index) {
  int order[kMaxDims];
  memory_order(x, order);
  const uint32_t mask = x.ndim ? 1u << axis : 0;
  if (terms(x, mask) == 0) return false;
  const Kept kept(x, order, mask, keepdim);
  if (!values.make(values_out, x.dtype, kept.ndim, kept.shape, kept.order, {&x})) return false;
  if (!index.make(index_out, DType::i64, kept.ndim, kept.shape, kept.order,
                  {&x, &values.dense(), &values.array()}))
    return false;
  if (index.dense().size() > 0)
    argmax_axis(least, static_cast<int>(x.dtype), x.ptr<char>(), itemsize(x.dtype),
                make_loops({&x}, order, mask), values.dense().ptr<char>(),
                index.dense().ptr<int64_t>());
  return true;
}

py::object extreme(bool least, py::handle x_object, py::handle dim, py::handle keep,
                   py::handle out) {
  Array x;
  int axis;
  bool keepdim;
  if (!view(x_object, x) || !parse_dim(dim, x.ndim, axis)) return declined();
  if (!parse_bool(keep, keepdim)) return declined();
  py::handle outs[2] = {Py_None, Py_None};
  if (!out.is_none()) {
    if (!PyTuple_Check(out.ptr()) || PyTuple_GET_SIZE(out.ptr()) != 2) return declined();
    for (int i = 0; i < 2; ++i) outs[i] = PyTuple_GET_ITEM(out.ptr(), i);
  }
  Output values, index;
  if (!argmax_dim(least, x, axis, keepdim, outs[0], outs[1], values, index)) return declined();
  return py::make_tuple(values.done(), index.done());
}

py::object argmax(bool least, py::handle x_object, py::handle dim, py::handle keep,
                  py::handle out) {
  Array x;
  bool keepdim;
  if (!view(x_object, x) || x.dtype == DType::b8 || !parse_bool(keep, keepdim)) return declined();
  Output values, index;
  int axis;
  if (!dim.is_none()) {
    if (!parse_dim(dim, x.ndim, axis)) return declined();
    if (!argmax_dim(least, x, axis, keepdim, py::none(), out, values, index)) return declined();
    return index.done();
  }
  if (x.size() == 0) return declined();
  int64_t ones[kMaxDims];
  std::fill_n(ones, kMaxDims, 1);
  if (!index.make(out, DType::i64, keepdim ? x.ndim : 0, ones, nullptr, {&x})) return declined();
  // Elements count in C order: the innermost run of it, then over the runs.
  int order[kMaxDims];
  for (int d = 0; d < x.ndim; ++d) order[d] = d;
  Loops loops = make_loops({&x}, order);
  const int64_t item = itemsize(x.dtype), n = loops.count ? loops.loop[loops.count - 1].size : 1;
  const int64_t runs = loops.size() / n;
  if (loops.count) loops.loop[loops.count - 1].reduced = true;
  const int dtype = static_cast<int>(x.dtype);
  Scratch best(static_cast<size_t>(runs * item)), places(static_cast<size_t>(runs) * 8);
  argmax_axis(least, dtype, x.ptr<char>(), item, loops, best.as<char>(), places.as<int64_t>());
  Loops over;
  over.add({runs, {1}, true});
  over.merge();
  int64_t run;
  char value[8];
  argmax_axis(least, dtype, best.as<char>(), item, over, value, &run);
  *index.dense().ptr<int64_t>() = run * n + places.as<int64_t>()[run];
  return index.done();
}

}  // namespace

void sum_dense(DType dtype, const void* x, int64_t n, void* y, double divisor) {
  Loops loops;
  loops.add({n, {1}, true});
  loops.merge();
  const Kernel kernel =
      FD_TABLE(reduce).reduce[static_cast<int>(Reduction::sum)][static_cast<int>(dtype)];
  reduce_all(kernel, kernel, static_cast<const char*>(x), itemsize(dtype), loops,
             static_cast<char*>(y), itemsize(dtype), divisor);
}

void bind_reduce(py::module_& m) {
  const auto define = [&](const char* name, auto function) {
    m.def(name, function, py::arg("x"), py::arg("dim") = py::none(), py::arg("keepdim") = false,
          py::arg("out") = py::none());
  };
  const auto define_reduction = [&](const char* name, Reduction what, bool mean) {
    define(name, [=](py::handle x, py::handle dim, py::handle keepdim, py::handle out) {
      return reduce_any(what, mean, x, dim, keepdim, out);
    });
  };
  define_reduction("sum", Reduction::sum, false);
  define_reduction("mean", Reduction::sum, true);
  define_reduction("prod", Reduction::product, false);
  define_reduction("amax", Reduction::max, false);
  define_reduction("amin", Reduction::min, false);
  define_reduction("sum_squares", Reduction::sum_squares, false);
  define_reduction("sum_abs", Reduction::sum_abs, false);
  for (const bool least : {false, true}) {
    define(least ? "min" : "max",
           [=](py::handle x, py::handle dim, py::handle keepdim, py::handle out) {
             return extreme(least, x, dim, keepdim, out);
           });
    define(least ? "argmin" : "argmax",
           [=](py::handle x, py::handle dim, py::handle keepdim, py::handle out) {
             return argmax(least, x, dim, keepdim, out);
           });
  }
}
}  // namespace fd
