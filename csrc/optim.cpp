// Optimisers' steps for any number of parameters in one call, and the norm, the scale and the range
// of all gradients together.
//
// A step takes rows (p, g, state..., step), one for each parameter, and for each a row of where to
// write (p, state...): the inputs themselves, other arrays, or None for new ones. Everything is
// checked before anything is written. The parameters are cut into stretches, and short ones put
// together, so that a chunk of parallel work is about as large for sixty biases as for one matrix.
#include "../kernels/cpu/optim.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <vector>

#include "isa.h"
#include "loops.h"

namespace fd {
namespace {

constexpr int64_t kChunk = 1 << 15;  // elements of a chunk of parallel work
constexpr double kBytesPerNanosecond = 60;

bool same_place(const Array& a, const Array& b) {
  if (a.data != b.data || !same_shape(a, b)) return false;
  for (int d = 0; d < a.ndim; ++d)
    if (a.shape[d] != 1 && a.stride[d] != b.stride[d]) return false;
  return true;
}

bool is_float(const Array& a) { return a.dtype == DType::f32 || a.dtype == DType::f64; }

// An array that is written: new, or the caller's, which may be exactly one of the inputs.
struct Written {
  Output output;
  Array array;  // dense in the order of p
  Array target;
  std::optional<Scratch> scratch;
  bool in_place = false;
  py::object object;

  bool make(py::handle out, const Array& p, const int* order, const Array* const* inputs,
            int count) {
    if (!out.is_none() && view(out, target) && target.writeable && target.dtype == p.dtype &&
        separate_elements(target)) {
      bool clear = true;
      for (int k = 0; k < count; ++k) {
        const bool same = same_place(target, *inputs[k]);
        in_place = in_place || same;
        clear = clear && (same || !may_overlap(*inputs[k], target));
      }
      if (!clear) return false;
      if (in_place) {
        object = py::reinterpret_borrow<py::object>(out);
        array = target;
        make_dense(array, order, scratch);  // of other strides: computed beside it
        return true;
      }
    }
    if (!output.make(out, p.dtype, p.ndim, p.shape, order, {})) return false;
    array = output.dense();
    target = output.array();
    return true;
  }
  py::object done() {
    if (!in_place) return output.done();
    if (scratch) copy(array, target);
    return std::move(object);
  }
};

// A stretch of the element-wise work on one of several arrays.
struct Piece {
  size_t row;
  int64_t first, count;
};

// Cuts arrays of these sizes into stretches, and groups them into chunks: chunk c has the stretches
// from starts[c] to starts[c + 1].
struct Cut {
  std::vector<Piece> pieces;
  std::vector<size_t> starts{0};

  explicit Cut(const std::vector<int64_t>& sizes) {
    int64_t room = kChunk;
    for (size_t row = 0; row < sizes.size(); ++row)
      for (int64_t first = 0; first < sizes[row]; first += kChunk) {
        const int64_t count = std::min(kChunk, sizes[row] - first);
        if (room < count) close(room);
        pieces.push_back({row, first, count});
        room -= count;
      }
    close(room);
  }
  void close(int64_t& room) {
    if (pieces.size() > starts.back()) starts.push_back(pieces.size());
    room = kChunk;
  }
  template <class F>
  void run(double bytes, F&& body) const {
    run_chunks(static_cast<int64_t>(starts.size()) - 1, bytes / kBytesPerNanosecond,
               [&](int64_t c) {
                 for (size_t i = starts[c]; i < starts[c + 1]; ++i) body(i, pieces[i]);
               });
  }
};

// --- steps -------------------------------------------------------------------------------------

// Which states a rule reads and writes under the options given.
struct States {
  bool used[kStates];
  bool optional;  // the first may be missing: it begins with this step
};

struct Row {
  Array p, g, state[kStates];
  bool has[kStates] = {};
  std::optional<Scratch> packed[2 + kStates];
  Written p_out, state_out[kStates];
  StepOptions options;
  Array counter;  // of steps, written when the call is sure to be made
  double step = 0;
  bool counts = false;

  bool read(const States& states, py::handle row, py::handle out) {
    if (!PyTuple_Check(row.ptr()) || PyTuple_GET_SIZE(row.ptr()) != 3 + kStates) return false;
    if (!PyTuple_Check(out.ptr()) || PyTuple_GET_SIZE(out.ptr()) != 1 + kStates) return false;
    const auto item = [](py::handle tuple, int i) {
      return py::handle(PyTuple_GET_ITEM(tuple.ptr(), i));
    };
    const auto fits = [&](const Array& a) { return a.dtype == p.dtype && same_shape(a, p); };
    if (!view(item(row, 0), p) || !is_float(p)) return false;
    if (!view(item(row, 1), g) || !fits(g)) return false;
    const Array* inputs[2 + kStates] = {&p, &g};
    int count = 2;
    for (int k = 0; k < kStates; ++k) {
      const py::handle given = item(row, 2 + k);
      has[k] = !given.is_none();
      if (has[k] ? !states.used[k] : states.used[k] && !(k == 0 && states.optional)) return false;
      if (!has[k]) continue;
      if (!view(given, state[k]) || !fits(state[k])) return false;
      inputs[count++] = &state[k];
    }
    if (!read_step(item(row, 2 + kStates))) return false;
    int order[kMaxDims];
    memory_order(p, order);
    if (!p_out.make(item(out, 0), p, order, inputs, count)) return false;
    const Array* written[1 + kStates] = {&p_out.target};
    int others = 1;
    for (int k = 0; k < kStates; ++k) {
      if (!states.used[k]) {
        if (!item(out, 1 + k).is_none()) return false;
        continue;
      }
      if (!state_out[k].make(item(out, 1 + k), p, order, inputs, count)) return false;
      for (int i = 0; i < others; ++i)
        if (may_overlap(*written[i], state_out[k].target)) return false;
      written[others++] = &state_out[k].target;
    }
    make_dense(p, order, packed[0]);
    make_dense(g, order, packed[1]);
    for (int k = 0; k < kStates; ++k)
      if (has[k]) make_dense(state[k], order, packed[2 + k]);
    return true;
  }

  // The number of this step: given, or one more than what a 0-d float array counts.
  bool read_step(py::handle given) {
    if (parse_number(given, step)) return step >= 1;
    if (given.is_none()) return true;
    if (!view(given, counter) || counter.ndim != 0 || !is_float(counter) || !counter.writeable)
      return false;
    counts = true;
    step = 1 + (counter.dtype == DType::f32 ? *counter.ptr<float>() : *counter.ptr<double>());
    return step >= 1;
  }
  void count() const {
    if (!counts) return;
    if (counter.dtype == DType::f32)
      *counter.ptr<float>() = static_cast<float>(step);
    else
      *counter.ptr<double>() = step;
  }

  StepStrip strip(const States& states, int64_t first, int64_t n) const {
    const int64_t at = first * itemsize(p.dtype);
    StepStrip s = {
        p.ptr<char>() + at, g.ptr<char>() + at, {}, p_out.array.ptr<char>() + at, {}, n, &options};
    for (int k = 0; k < kStates; ++k) {
      if (has[k]) s.state[k] = state[k].ptr<char>() + at;
      if (states.used[k]) s.state_out[k] = state_out[k].array.ptr<char>() + at;
    }
    return s;
  }
};

// finish(options, step) makes what depends on the number of a row's step; false to decline.
template <class F>
py::object run_steps(Rule rule, const States& states, const StepOptions& options, py::handle rows,
                     py::handle outs, F&& finish) {
  if (!PyList_Check(rows.ptr()) || !PyList_Check(outs.ptr())) return declined();
  const Py_ssize_t count = PyList_GET_SIZE(rows.ptr());
  if (PyList_GET_SIZE(outs.ptr()) != count) return declined();
  std::vector<std::unique_ptr<Row>> all;
  std::vector<int64_t> sizes;
  double bytes = 0;
  int arrays = 3;
  for (bool used : states.used) arrays += 2 * used;
  for (Py_ssize_t i = 0; i < count; ++i) {
    auto row = std::make_unique<Row>();
    if (!row->read(states, PyList_GET_ITEM(rows.ptr(), i), PyList_GET_ITEM(outs.ptr(), i)))
      return declined();
    row->options = options;
    if (!finish(row->options, row->step)) return declined();
    sizes.push_back(row->p.size());
    bytes += static_cast<double>(sizes.back() * itemsize(row->p.dtype) * arrays);
    all.push_back(std::move(row));
  }
  for (const auto& row : all) row->count();
  const auto& kernels = FD_TABLE(optim).step[static_cast<int>(rule)];
  Cut(sizes).run(bytes, [&](size_t, const Piece& piece) {
    const Row& row = *all[piece.row];
    kernels[row.p.dtype == DType::f64](row.strip(states, piece.first, piece.count));
  });
  py::list results;
  for (const auto& row : all) {
    py::tuple result(1 + kStates);
    result[0] = row->p_out.done();
    for (int k = 0; k < kStates; ++k)
      result[1 + k] = states.used[k] ? row->state_out[k].done() : py::none();
    results.append(result);
  }
  return results;
}

bool at_least_zero(py::handle given, double& value) {
  return parse_number(given, value) && value >= 0;
}
bool below_one(py::handle given, double& value) { return at_least_zero(given, value) && value < 1; }

py::object sgd_step(py::handle rows, py::handle outs, py::handle lr, py::handle momentum,
                    py::handle dampening, py::handle weight_decay, py::handle nesterov,
                    py::handle maximize) {
  StepOptions o{};
  if (!at_least_zero(lr, o.lr) || !at_least_zero(momentum, o.momentum) ||
      !parse_number(dampening, o.dampening) || !at_least_zero(weight_decay, o.weight_decay) ||
      !parse_bool(nesterov, o.nesterov) || !parse_bool(maximize, o.maximize))
    return declined();
  if (o.nesterov && (o.momentum == 0 || o.dampening != 0)) return declined();
  const States states = {{o.momentum != 0}, true};
  o.rate = o.lr;
  return run_steps(Rule::sgd, states, o, rows, outs, [](StepOptions&, double) { return true; });
}

py::object adam_step(py::handle rows, py::handle outs, py::handle lr, py::handle beta1,
                     py::handle beta2, py::handle eps, py::handle weight_decay, py::handle amsgrad,
                     py::handle maximize, py::handle decoupled) {
  StepOptions o{};
  bool keeps_largest;
  if (!at_least_zero(lr, o.lr) || !below_one(beta1, o.beta1) || !below_one(beta2, o.beta2) ||
      !at_least_zero(eps, o.eps) || !at_least_zero(weight_decay, o.weight_decay) ||
      !parse_bool(amsgrad, keeps_largest) || !parse_bool(maximize, o.maximize) ||
      !parse_bool(decoupled, o.decoupled))
    return declined();
  const States states = {{true, true, keeps_largest}, false};
  return run_steps(Rule::adam, states, o, rows, outs, [](StepOptions& own, double step) {
    own.rate = own.lr / (1 - std::pow(own.beta1, step));
    own.root = 1 / std::sqrt(1 - std::pow(own.beta2, step));
    return step >= 1;
  });
}

py::object rmsprop_step(py::handle rows, py::handle outs, py::handle lr, py::handle alpha,
                        py::handle eps, py::handle weight_decay, py::handle momentum,
                        py::handle centered, py::handle maximize) {
  StepOptions o{};
  bool is_centered;
  if (!at_least_zero(lr, o.lr) || !at_least_zero(alpha, o.beta2) || !at_least_zero(eps, o.eps) ||
      !at_least_zero(weight_decay, o.weight_decay) || !at_least_zero(momentum, o.momentum) ||
      !parse_bool(centered, is_centered) || !parse_bool(maximize, o.maximize))
    return declined();
  const States states = {{true, is_centered, o.momentum != 0}, false};
  o.rate = o.lr;
  return run_steps(Rule::rmsprop, states, o, rows, outs, [](StepOptions&, double) { return true; });
}

py::object adagrad_step(py::handle rows, py::handle outs, py::handle lr, py::handle lr_decay,
                        py::handle weight_decay, py::handle eps, py::handle maximize) {
  StepOptions o{};
  if (!at_least_zero(lr, o.lr) || !at_least_zero(lr_decay, o.lr_decay) ||
      !at_least_zero(weight_decay, o.weight_decay) || !at_least_zero(eps, o.eps) ||
      !parse_bool(maximize, o.maximize))
    return declined();
  const States states = {{true}, false};
  return run_steps(Rule::adagrad, states, o, rows, outs, [](StepOptions& own, double step) {
    own.rate = own.lr / (1 + (step - 1) * own.lr_decay);
    return step >= 1;
  });
}

py::object lion_step(py::handle rows, py::handle outs, py::handle lr, py::handle beta1,
                     py::handle beta2, py::handle weight_decay, py::handle maximize) {
  StepOptions o{};
  if (!at_least_zero(lr, o.lr) || !below_one(beta1, o.beta1) || !below_one(beta2, o.beta2) ||
      !at_least_zero(weight_decay, o.weight_decay) || !parse_bool(maximize, o.maximize))
    return declined();
  o.decoupled = true;
  o.rate = o.lr;
  const States states = {{true}, false};
  return run_steps(Rule::lion, states, o, rows, outs, [](StepOptions&, double) { return true; });
}

py::object ema_step(py::handle rows, py::handle outs, py::handle decay) {
  StepOptions o{};
  if (!at_least_zero(decay, o.beta1) || o.beta1 > 1) return declined();
  return run_steps(Rule::ema, {}, o, rows, outs, [](StepOptions&, double) { return true; });
}

// --- all gradients together --------------------------------------------------------------------

// Every array of the list, dense in its own order (a copy where it was not).
struct Gradients {
  std::vector<Array> arrays;
  std::vector<std::unique_ptr<std::optional<Scratch>>> packed;
  std::vector<int64_t> sizes;
  double bytes = 0;

  bool read(py::handle list) {
    if (!PyList_Check(list.ptr())) return false;
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(list.ptr()); ++i) {
      Array a;
      if (!view(PyList_GET_ITEM(list.ptr(), i), a) || !is_float(a)) return false;
      arrays.push_back(a);
      sizes.push_back(a.size());
      bytes += static_cast<double>(a.size() * itemsize(a.dtype));
    }
    return true;
  }
  void pack() {
    for (Array& a : arrays) {
      int order[kMaxDims];
      memory_order(a, order);
      packed.push_back(std::make_unique<std::optional<Scratch>>());
      make_dense(a, order, *packed.back());
    }
  }
};

// (sum of |x|^p over all arrays)^(1/p) for p 1 or 2, or the largest |x|, as a number.
py::object total_norm(py::handle list, double p) {
  Gradients g;
  if (!g.read(list)) return declined();
  g.pack();
  const auto& table = FD_TABLE(optim);
  const bool largest = std::isinf(p) && p > 0;
  if (!largest && p != 1 && p != 2) return declined();
  const auto* kernels = largest  ? table.largest_size
                        : p == 1 ? table.sum_of_sizes
                                 : table.sum_of_squares;
  const Cut cut(g.sizes);
  std::vector<double> parts(cut.pieces.size());
  cut.run(g.bytes, [&](size_t i, const Piece& piece) {
    const Array& a = g.arrays[piece.row];
    parts[i] = kernels[a.dtype == DType::f64](a.ptr<char>() + piece.first * itemsize(a.dtype),
                                              piece.count);
  });
  double total = 0;
  for (const double part : parts)
    total = largest ? (part > total || std::isnan(part) ? part : total) : total + part;
  return py::float_(p == 2 ? std::sqrt(total) : total);
}

// x = x * first (scale), or x between first and second (clamp), for every array, in place.
py::object change_all(py::handle list, double first, double second, bool clamps) {
  Gradients g;
  if (!g.read(list)) return declined();
  for (const Array& a : g.arrays)
    if (!a.writeable || !separate_elements(a)) return declined();
  const std::vector<Array> originals = g.arrays;
  g.pack();
  const auto& table = FD_TABLE(optim);
  const auto* kernels = clamps ? table.clamp : table.scale;
  Cut(g.sizes).run(2 * g.bytes, [&](size_t, const Piece& piece) {
    const Array& a = g.arrays[piece.row];
    kernels[a.dtype == DType::f64](a.ptr<char>() + piece.first * itemsize(a.dtype), piece.count,
                                   first, second);
  });
  for (size_t i = 0; i < originals.size(); ++i)
    if (*g.packed[i]) copy(g.arrays[i], originals[i]);
  return py::none();
}

}  // namespace

void bind_optim(py::module_& m) {
  const auto rows = py::arg("rows"), outs = py::arg("outs"), lr = py::arg("lr");
  const auto weight_decay = py::arg("weight_decay"), maximize = py::arg("maximize");
  const auto beta1 = py::arg("beta1"), beta2 = py::arg("beta2"), eps = py::arg("eps");
  const auto momentum = py::arg("momentum");
  m.def("sgd_step", sgd_step, rows, outs, lr, momentum, py::arg("dampening"), weight_decay,
        py::arg("nesterov"), maximize);
  m.def("adam_step", adam_step, rows, outs, lr, beta1, beta2, eps, weight_decay, py::arg("amsgrad"),
        maximize, py::arg("decoupled_weight_decay"));
  m.def("rmsprop_step", rmsprop_step, rows, outs, lr, py::arg("alpha"), eps, weight_decay, momentum,
        py::arg("centered"), maximize);
  m.def("adagrad_step", adagrad_step, rows, outs, lr, py::arg("lr_decay"), weight_decay, eps,
        maximize);
  m.def("lion_step", lion_step, rows, outs, lr, beta1, beta2, weight_decay, maximize);
  m.def("ema_step", ema_step, rows, outs, py::arg("decay"));
  m.def("total_norm", total_norm, py::arg("arrays"), py::arg("norm_type"));
  m.def("change_all", change_all, py::arg("arrays"), py::arg("first"), py::arg("second"),
        py::arg("clamps"));
}
}  // namespace fd
