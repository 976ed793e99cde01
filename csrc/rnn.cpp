// Recurrent layers: one layer, one direction, over whole sequences, and their gradients.
//
// Forward, the products with x are one matrix product for all steps; each step is then one pass
// over the packed recurrent weights (kernels/cpu/rnn.inc), its panels of units shared out to the
// threads. Backward, a step's product brings the gradient back from the step after it, and the
// gradients of weights and inputs are left to products over all steps (ops/rnn.py).
// Where packing would cost more than it saves (a single step, as a cell takes it) and where the
// state is projected, the step's product is an ordinary one.
#include "../kernels/cpu/rnn.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <vector>

#include "array.h"
#include "matmul.h"
#include "memory.h"
#include "parts.h"
#include "threads.h"

namespace fd {
namespace {

constexpr int64_t kPackRows = 8;        // rows of all steps, from which packed weights pay
constexpr int64_t kNear = 5 << 18;      // bytes of packed weights that L2 holds, or nearly
constexpr double kLongestChunk = 10e6;  // nanoseconds: Ctrl-C is seen between chunks

template <class T>
const RnnKernels<T>& kernels() {
  if constexpr (sizeof(T) == 4)
    return FD_TABLE(rnn).f32;
  else
    return FD_TABLE(rnn).f64;
}

struct Step {
  int64_t first, count;  // rows of the flattened arrays
};

// The steps of x[T, B, ...], of x[B, ...], a single one, or of packed x[N, ...] with the rows of
// each step, in the order in which the layer takes them. False where sizes are not those of a batch
// of sorted sequences.
bool read_steps(const Array& x, py::handle sizes, bool reverse, int64_t batch,
                std::vector<Step>& steps) {
  if (sizes.is_none() && x.ndim == 2) {
    if (x.shape[0] != batch) return false;
    steps.push_back({0, batch});
  } else if (sizes.is_none()) {
    if (x.ndim != 3 || x.shape[1] != batch || x.shape[0] == 0) return false;
    for (int64_t t = 0; t < x.shape[0]; ++t) steps.push_back({t * batch, batch});
  } else {
    Array counts;
    if (!view(sizes, counts) || counts.dtype != DType::i64 || counts.ndim != 1 || x.ndim != 2)
      return false;
    int64_t first = 0, most = batch;
    for (int64_t t = 0; t < counts.shape[0]; ++t) {
      const int64_t count = counts.ptr<int64_t>()[t * counts.stride[0]];
      if (count < 1 || count > most || (t == 0 && count != batch)) return false;
      steps.push_back({first, count});
      first += count;
      most = count;
    }
    if (first != x.shape[0] || counts.shape[0] == 0) return false;
  }
  if (reverse) std::reverse(steps.begin(), steps.end());
  return true;
}

// The elements of an array in C order: where they are, if they lie so, or in a copy.
template <class T>
class Dense {
 public:
  explicit Dense(const Array& a) : data_(a.ptr<T>()) {
    int64_t run = 1;
    bool dense = true;
    for (int d = a.ndim; d-- > 0; run *= a.shape[d])
      dense = dense && (a.shape[d] == 1 || a.stride[d] == run);
    if (dense || run == 0) return;
    copy_.emplace(sizeof(T) * run);
    copy(a, copy_->template as<T>());
    data_ = copy_->template as<T>();
  }
  operator const T*() const { return data_; }

  static void copy(const Array& a, T* to) {
    const int64_t columns = a.ndim ? a.shape[a.ndim - 1] : 1;
    const int64_t step = a.ndim ? a.stride[a.ndim - 1] : 1;
    const int64_t rows = columns ? a.size() / columns : 0;
    for (int64_t r = 0; r < rows; ++r, to += columns) {
      const T* from = a.ptr<T>();
      int64_t rest = r;
      for (int d = a.ndim - 1; d-- > 0; rest /= a.shape[d]) from += rest % a.shape[d] * a.stride[d];
      if (step == 1)
        std::memcpy(to, from, sizeof(T) * columns);
      else
        for (int64_t j = 0; j < columns; ++j) to[j] = from[j * step];
    }
  }

 private:
  const T* data_;
  std::optional<Scratch> copy_;
};

template <class T>
Matrix<const T> matrix(const Array& w) {
  return {w.ptr<T>(), w.shape[0], w.shape[1], w.stride[0], w.stride[1]};
}
template <class T>
Matrix<const T> rows_of(const Matrix<const T>& w, int64_t first, int64_t count) {
  return {w.at(first, 0), count, w.columns, w.row_stride, w.column_stride};
}
// Contiguous columns.
template <class T>
Matrix<T> block(T* data, int64_t rows, int64_t columns, int64_t row_stride) {
  return {data, rows, columns, row_stride, 1};
}

// The recurrent weights in panels, packed by the threads.
template <class T>
struct Panels {
  int64_t count, size;  // size: numbers
  Scratch scratch;
  Panels(bool wanted, int vectors, int gates, int64_t units, int64_t terms, const T* w,
         int64_t unit_stride, int64_t term_stride)
      : count(panels(units, vectors / gates)),
        size(wanted ? count * terms * vectors * kernels<T>().lanes : 0),
        scratch(sizeof(T) * size) {
    if (!wanted) return;
    parallel_for(count, static_cast<double>(size) / 4, [&](int64_t p) {
      kernels<T>().pack(p, p + 1, vectors, gates, units, terms, w, unit_stride, term_stride,
                        scratch.as<T>());
    });
  }
  const T* data() const { return scratch.template as<T>(); }
  bool far() const { return static_cast<int64_t>(sizeof(T)) * size > kNear; }
  static int64_t panels(int64_t units, int64_t blocks) {
    const int64_t wide = kernels<T>().lanes * blocks;
    return (units + wide - 1) / wide;
  }
};

// The parts of a step, panels shared out to the threads. No sum is cut, so the cuts may follow
// them.
template <class T, class Kernel>
void run_step(Kernel kernel, const RnnStep<T>* parts, int count, int64_t panels, int64_t columns) {
  double nanoseconds = 0;
  for (int i = 0; i < count; ++i)
    nanoseconds += multiply_nanoseconds<T>(parts[i].rows, columns, parts[i].terms) +
                   2 * static_cast<double>(parts[i].rows * parts[i].units);
  const int64_t threads = num_threads(), wanted = threads > 1 ? 2 * threads : 1;
  const int64_t chunks =
      std::min(panels, std::max(wanted, static_cast<int64_t>(nanoseconds / kLongestChunk)));
  parallel_for(chunks, nanoseconds, [&](int64_t chunk) {
    for (int i = 0; i < count; ++i)
      kernel(parts[i], cut(panels, chunks, chunk), cut(panels, chunks, chunk + 1));
  });
}

// ---- Forward
// -------------------------------------------------------------------------------------
struct Forward {
  Array x, h0, c0, w_ih, w_hh, b_ih, b_hh, w_hr;
  bool has_b_ih, has_b_hh, has_w_hr, save;
  Array y, h_n, c_n, gates, cells;
  std::vector<Step> steps;
  int64_t rows, batch, units, width;  // width: of the state, units unless projected
};

template <class T>
void forward(RnnCell cell, const Forward& f) {
  const int64_t H = f.units, R = f.width, B = f.batch, G = rnn_gates(cell),
                inputs = f.w_ih.shape[1];
  const int64_t gates_row = rnn_saved(cell) * H;
  const bool plain = G == 1;
  const Dense<T> x(f.x), h0(f.h0);
  T* y = f.y.ptr<T>();
  Scratch own_gates(plain || f.save ? 0 : sizeof(T) * f.rows * gates_row);
  T* gates = plain ? y : f.save ? f.gates.ptr<T>() : own_gates.as<T>();
  T* cells = f.save && cell == kLstm ? f.cells.ptr<T>() : nullptr;
  T* c = nullptr;
  if (cell == kLstm) Dense<T>::copy(f.c0, c = f.c_n.ptr<T>());

  // The biases in one, but for that of a GRU's m.
  Scratch biases(sizeof(T) * (G + 1) * H);
  T* bias = f.has_b_ih || f.has_b_hh ? biases.as<T>() : nullptr;
  T* bias_m = cell == kGru && f.has_b_hh ? biases.as<T>() + G * H : nullptr;
  const auto element = [](const Array& b, int64_t j) { return b.ptr<T>()[j * b.stride[0]]; };
  for (int64_t j = 0; bias && j < G * H; ++j) {
    const bool of_m = cell == kGru && j >= 2 * H;
    bias[j] = f.has_b_ih ? element(f.b_ih, j) : T(0);
    if (of_m && bias_m) bias_m[j - 2 * H] = element(f.b_hh, j);
    if (!of_m && f.has_b_hh) bias[j] += element(f.b_hh, j);
  }
  Epilogue<T> with_bias;
  with_bias.column_bias = bias;
  multiply<T>(block<const T>(x, f.rows, inputs, inputs), matrix<T>(f.w_ih).transposed(),
              block(gates, f.rows, G * H, gates_row), with_bias);

  const bool packed = f.steps.size() > 1 && f.rows >= kPackRows;
  const Panels<T> panels(packed, plain ? 2 : static_cast<int>(G), static_cast<int>(G), H, R,
                         f.w_hh.ptr<T>(), f.w_hh.stride[0], f.w_hh.stride[1]);
  const Scratch projected(f.has_w_hr ? sizeof(T) * B * H : 0);
  const auto w_hh = matrix<T>(f.w_hh);
  T* h_n = f.h_n.ptr<T>();
  if (f.steps.empty()) std::copy_n(static_cast<const T*>(h0), B * R, h_n);
  for (size_t i = 0; i < f.steps.size(); ++i) {
    const Step now = f.steps[i];
    const int64_t known = i ? std::min(now.count, f.steps[i - 1].count) : 0;
    RnnStep<T> parts[2];
    int count = 0;
    const auto add = [&](int64_t begin, int64_t end, const T* state) {
      if (begin >= end) return;
      RnnStep<T>& s = parts[count++] = {};
      const int64_t first = now.first + begin;
      s.rows = end - begin;
      s.units = H;
      s.gates = gates + first * gates_row;
      s.gates_row = gates_row;
      s.before = state;
      s.before_row = R;
      s.bias = bias_m;
      s.h = f.has_w_hr ? projected.as<T>() + begin * H : y + first * R;
      s.h_row = H;
      s.c = c + begin * H;
      s.c_row = H;
      s.cells = cells ? cells + first * H : nullptr;
      s.cells_row = H;
      s.save = f.save;
      if (packed) {
        s.a = state;
        s.a_row = R;
        s.terms = s.split = R;
        s.w = panels.data();
        s.far = panels.far();
        return;
      }
      const auto h = block<const T>(state, s.rows, R, R);
      Epilogue<T> add_up;
      add_up.accumulate = true;
      if (cell != kGru) {
        multiply<T>(h, w_hh.transposed(), block(s.gates, s.rows, G * H, gates_row), add_up);
        return;
      }
      multiply<T>(h, rows_of(w_hh, 0, 2 * H).transposed(), block(s.gates, s.rows, 2 * H, gates_row),
                  add_up);
      Epilogue<T> with_bias_m;
      with_bias_m.column_bias = bias_m;
      multiply<T>(h, rows_of(w_hh, 2 * H, H).transposed(),
                  block(s.gates + 3 * H, s.rows, H, gates_row), with_bias_m);
    };
    if (i) add(0, known, y + f.steps[i - 1].first * R);
    add(known, now.count, h0 + known * R);
    run_step(kernels<T>().forward[cell], parts, count, panels.count, G * H);
    if (f.has_w_hr)
      multiply<T>(block<const T>(projected.as<T>(), now.count, H, H),
                  matrix<T>(f.w_hr).transposed(), block(y + now.first * R, now.count, R, R));
    // These sequences end here.
    const int64_t going_on = i + 1 < f.steps.size() ? f.steps[i + 1].count : 0;
    if (going_on < now.count)
      std::copy_n(y + (now.first + going_on) * R, (now.count - going_on) * R, h_n + going_on * R);
  }
}

bool is_matrix(const Array& a, DType dtype, int64_t rows, int64_t columns) {
  return a.dtype == dtype && a.ndim == 2 && a.shape[0] == rows && a.shape[1] == columns;
}
bool is_vector(py::handle object, Array& a, DType dtype, int64_t size) {
  return view(object, a) && a.dtype == dtype && a.ndim == 1 && a.shape[0] == size;
}
// As `lead`, with another last dimension.
py::object empty_like(const Array& lead, int64_t columns, Array& a) {
  int64_t shape[kMaxDims];
  std::copy(lead.shape, lead.shape + lead.ndim, shape);
  shape[lead.ndim - 1] = columns;
  return empty(lead.dtype, lead.ndim, shape, a);
}
py::object nothing(DType dtype) {
  Array a;
  const int64_t shape[] = {0};
  return empty(dtype, 1, shape, a);
}

// y, h_n[, c_n][, gates][, cells] of a cell; with `save` unset the last ones are empty.
py::object rnn_forward(int kind, py::handle x, py::handle h0, py::handle c0, py::handle w_ih,
                       py::handle w_hh, py::handle b_ih, py::handle b_hh, py::handle w_hr,
                       py::handle batch_sizes, bool reverse, bool save) {
  const auto cell = static_cast<RnnCell>(kind);
  Forward f;
  if (!view(x, f.x) || !view(h0, f.h0) || !view(w_ih, f.w_ih) || !view(w_hh, f.w_hh))
    return declined();
  const DType dtype = f.x.dtype;
  if (dtype != DType::f32 && dtype != DType::f64) return declined();
  if (f.x.ndim < 2 || f.h0.ndim != 2 || f.w_hh.ndim != 2) return declined();
  const int64_t G = rnn_gates(cell), inputs = f.x.shape[f.x.ndim - 1];
  f.batch = f.h0.shape[0];
  f.width = f.h0.shape[1];
  f.units = f.w_hh.shape[0] / G;
  f.has_b_ih = !b_ih.is_none();
  f.has_b_hh = !b_hh.is_none();
  f.has_w_hr = !w_hr.is_none();
  f.save = save;
  const int64_t H = f.units, R = f.width;
  if (H == 0 || R == 0 || (!f.has_w_hr && R != H)) return declined();
  if (!is_matrix(f.h0, dtype, f.batch, R) || !is_matrix(f.w_ih, dtype, G * H, inputs) ||
      !is_matrix(f.w_hh, dtype, G * H, R))
    return declined();
  if (f.has_b_ih && !is_vector(b_ih, f.b_ih, dtype, G * H)) return declined();
  if (f.has_b_hh && !is_vector(b_hh, f.b_hh, dtype, G * H)) return declined();
  if (f.has_w_hr && (!view(w_hr, f.w_hr) || !is_matrix(f.w_hr, dtype, R, H))) return declined();
  if (cell == kLstm && (!view(c0, f.c0) || !is_matrix(f.c0, dtype, f.batch, H))) return declined();
  if (!read_steps(f.x, batch_sizes, reverse, f.batch, f.steps)) return declined();
  f.rows = f.x.ndim == 3 ? f.x.shape[0] * f.x.shape[1] : f.x.shape[0];

  const int64_t state[] = {f.batch, R}, memory[] = {f.batch, H};
  py::list results;
  results.append(empty_like(f.x, R, f.y));
  results.append(empty(dtype, 2, state, f.h_n));
  if (cell == kLstm) results.append(empty(dtype, 2, memory, f.c_n));
  if (cell == kLstm || cell == kGru)
    results.append(save ? empty_like(f.x, 4 * H, f.gates) : nothing(dtype));
  if (cell == kLstm) results.append(save ? empty_like(f.x, H, f.cells) : nothing(dtype));

  const double nanoseconds =
      multiply_nanoseconds<float>(f.rows, G * H, inputs + R) + 1e3 * double(f.steps.size());
  std::optional<py::gil_scoped_release> nogil;
  if (nanoseconds >= kSerialNanoseconds) nogil.emplace();
  dtype == DType::f32 ? forward<float>(cell, f) : forward<double>(cell, f);
  nogil.reset();
  return py::tuple(results);
}

// ---- Backward
// ------------------------------------------------------------------------------------
struct Backward {
  Array g_y, g_h, g_c, gates, cells, y, before, w_hh, w_hr;
  bool has_w_hr;
  Array d, d_h0, d_c0, d_h;
  std::vector<Step> steps;
  int64_t rows, batch, units, width;
};

template <class T>
void backward(RnnCell cell, const Backward& f) {
  const int64_t H = f.units, R = f.width, saved_row = rnn_saved(cell) * H;
  const int64_t terms = rnn_gates(cell) * H;
  const bool gru = cell == kGru;
  // Rows of the upstream gradient are read where they are, if each is contiguous.
  const int last = f.g_y.ndim - 1;
  const bool in_place = f.g_y.stride[last] == 1;
  Array compact = f.g_y;
  const Scratch copied(in_place ? 0 : sizeof(T) * f.rows * R);
  if (!in_place) {
    Dense<T>::copy(f.g_y, copied.as<T>());
    compact.data = copied.as<T>();
    compact.stride[last] = 1;
    for (int64_t d = last, run = R; d-- > 0; run *= compact.shape[d]) compact.stride[d] = run;
  }
  const int64_t g_row = compact.stride[last - 1];
  const auto g_at = [&](int64_t row) {
    return last == 1 ? compact.ptr<T>() + row * g_row
                     : compact.ptr<T>() + row / f.batch * compact.stride[0] + row % f.batch * g_row;
  };
  const Dense<T> gates(cell == kLstm || gru ? f.gates : f.y), cells(cell == kLstm ? f.cells : f.y);
  const Dense<T> y(f.y), initial(f.before);
  const T* states = cell == kLstm ? cells : y;  // those before a step, but for the first
  T *d = f.d.ptr<T>(), *d_h0 = f.d_h0.ptr<T>(), *d_c0 = cell == kLstm ? f.d_c0.ptr<T>() : nullptr;
  T* d_h = f.has_w_hr ? f.d_h.ptr<T>() : nullptr;
  Dense<T>::copy(f.g_h, d_h0);
  if (d_c0) Dense<T>::copy(f.g_c, d_c0);

  const bool packed = f.steps.size() > 1 && f.rows >= kPackRows && !f.has_w_hr;
  const Panels<T> panels(packed, 2, 1, H, terms, f.w_hh.ptr<T>(), f.w_hh.stride[1],
                         f.w_hh.stride[0]);
  const Scratch hidden(f.has_w_hr ? sizeof(T) * f.batch * H : 0);
  const auto w_hh = matrix<T>(f.w_hh);
  // What reaches the state before `step` through its gates, for sequences [begin, end).
  const auto into_state = [&](const Step& step, int64_t begin, int64_t end) {
    if (begin >= end) return;
    const T* from = d + (step.first + begin) * saved_row;
    const auto to = block(d_h0 + begin * R, end - begin, R, R);
    Epilogue<T> epilogue;
    epilogue.accumulate = gru;
    const int64_t terms_here = gru ? 2 * H : terms;
    multiply<T>(block(from, end - begin, terms_here, saved_row), rows_of(w_hh, 0, terms_here), to,
                epilogue);
    if (gru)
      multiply<T>(block(from + 3 * H, end - begin, H, saved_row), rows_of(w_hh, 2 * H, H), to,
                  epilogue);
  };
  for (size_t i = f.steps.size(); i-- > 0;) {
    const Step now = f.steps[i];
    const Step later = i + 1 < f.steps.size() ? f.steps[i + 1] : Step{0, 0};
    const Step earlier = i ? f.steps[i - 1] : Step{0, 0};
    const int64_t linked = packed ? std::min(now.count, later.count) : 0;
    into_state(later, packed ? now.count : 0, later.count);
    if (f.has_w_hr) {
      T* all = d_h + now.first * R;
      for (int64_t row = 0; row < now.count; ++row) {
        const T* g = g_at(now.first + row);
        for (int64_t j = 0; j < R; ++j) all[row * R + j] = g[j] + d_h0[row * R + j];
      }
      multiply<T>(block<const T>(all, now.count, R, R), matrix<T>(f.w_hr),
                  block(hidden.as<T>(), now.count, H, H));
    }
    RnnStep<T> parts[3];
    int count = 0;
    int64_t cuts[] = {linked, std::min(now.count, earlier.count), now.count};
    std::sort(cuts, cuts + 3);
    int64_t begin = 0;
    for (const int64_t end : cuts) {
      if (end == begin) continue;
      RnnStep<T>& s = parts[count++] = {};
      const int64_t first = now.first + begin;
      s.rows = end - begin;
      s.units = H;
      if (begin < linked) {
        s.a = d + (later.first + begin) * saved_row;
        s.a_row = saved_row;
        s.terms = terms;
        s.split = gru ? 2 * H : terms;
        s.skip = H;
        s.w = panels.data();
        s.far = panels.far();
      }
      s.gates = const_cast<T*>(gates + first * saved_row);
      s.gates_row = saved_row;
      s.before = begin < earlier.count ? states + (earlier.first + begin) * H : initial + begin * H;
      s.before_row = H;
      s.cells = const_cast<T*>(cells + first * H);
      s.c = d_c0 + begin * H;
      s.cells_row = s.c_row = H;
      s.g = f.has_w_hr ? nullptr : g_at(first);
      s.g_row = g_row;
      if (f.has_w_hr)
        s.carry = hidden.as<T>() + begin * H;
      else if (gru || begin >= linked)
        s.carry = d_h0 + begin * H;
      s.carry_row = s.carry_out_row = H;
      s.carry_out = d_h0 + begin * H;
      s.d = d + first * saved_row;
      s.d_row = saved_row;
      begin = end;
    }
    run_step(kernels<T>().backward[cell], parts, count, panels.count, H);
  }
  if (!f.steps.empty()) into_state(f.steps[0], 0, f.steps[0].count);
}

// d[, ...], d_h0[, d_c0, d_h]; `before` is c0 for an LSTM, h0 for a GRU.
py::object rnn_backward(int kind, py::handle g_y, py::handle g_h, py::handle g_c, py::handle gates,
                        py::handle cells, py::handle y, py::handle before, py::handle w_hh,
                        py::handle w_hr, py::handle batch_sizes, bool reverse) {
  const auto cell = static_cast<RnnCell>(kind);
  Backward f;
  if (!view(g_y, f.g_y) || !view(g_h, f.g_h) || !view(w_hh, f.w_hh)) return declined();
  const DType dtype = f.g_y.dtype;
  if (dtype != DType::f32 && dtype != DType::f64) return declined();
  if (f.g_y.ndim < 2 || f.g_h.ndim != 2 || f.w_hh.ndim != 2) return declined();
  const int64_t G = rnn_gates(cell);
  f.batch = f.g_h.shape[0];
  f.width = f.g_h.shape[1];
  f.units = f.w_hh.shape[0] / G;
  f.has_w_hr = !w_hr.is_none();
  const int64_t H = f.units, R = f.width;
  if (H == 0 || R == 0 || (!f.has_w_hr && R != H)) return declined();
  if (!is_matrix(f.g_h, dtype, f.batch, R) || !is_matrix(f.w_hh, dtype, G * H, R))
    return declined();
  const auto like_g = [&](py::handle object, Array& a, int64_t columns) {
    return view(object, a) && a.dtype == dtype && a.ndim == f.g_y.ndim &&
           std::equal(a.shape, a.shape + a.ndim - 1, f.g_y.shape) && a.shape[a.ndim - 1] == columns;
  };
  if (f.g_y.shape[f.g_y.ndim - 1] != R) return declined();
  if (f.has_w_hr && (!view(w_hr, f.w_hr) || !is_matrix(f.w_hr, dtype, R, H))) return declined();
  const bool gated = cell == kLstm || cell == kGru;
  if (gated && !like_g(gates, f.gates, 4 * H)) return declined();
  if (cell == kLstm &&
      (!like_g(cells, f.cells, H) || !view(g_c, f.g_c) || !is_matrix(f.g_c, dtype, f.batch, H)))
    return declined();
  if (cell != kLstm && !like_g(y, f.y, H)) return declined();
  if (gated && (!view(before, f.before) || !is_matrix(f.before, dtype, f.batch, H)))
    return declined();
  if (cell == kLstm) f.y = f.cells;
  if (!gated) f.before = f.g_h;
  if (!read_steps(f.g_y, batch_sizes, reverse, f.batch, f.steps)) return declined();
  f.rows = f.g_y.ndim == 3 ? f.g_y.shape[0] * f.g_y.shape[1] : f.g_y.shape[0];

  const int64_t state[] = {f.batch, R}, memory[] = {f.batch, H};
  py::list results;
  results.append(empty_like(f.g_y, rnn_saved(cell) * H, f.d));
  results.append(empty(dtype, 2, state, f.d_h0));
  if (cell == kLstm) results.append(empty(dtype, 2, memory, f.d_c0));
  if (cell == kLstm) results.append(f.has_w_hr ? empty_like(f.g_y, R, f.d_h) : nothing(dtype));

  const double nanoseconds =
      multiply_nanoseconds<float>(f.rows, G * H, R) + 1e3 * double(f.steps.size());
  std::optional<py::gil_scoped_release> nogil;
  if (nanoseconds >= kSerialNanoseconds) nogil.emplace();
  dtype == DType::f32 ? backward<float>(cell, f) : backward<double>(cell, f);
  nogil.reset();
  return py::tuple(results);
}

}  // namespace

void bind_rnn(py::module_& m) {
  m.def("rnn_forward", &rnn_forward);
  m.def("rnn_backward", &rnn_backward);
}
}  // namespace fd
