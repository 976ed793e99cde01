// matmul, linear, addmm and baddbmm as Python calls them, and packed weights: checks, broadcasting
// and batches. How one product runs is in matmul.cpp.
#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "array.h"
#include "matmul.h"
#include "matmul_bf16.h"
#include "matmul_shapes.h"
#include "memory.h"
#include "plan.h"
#include "threads.h"

namespace fd {
namespace {

// The panels of b[k, n], which many products may read; "linear" gives it as w[n, k].
class Panels {
 public:
  Panels(std::string_view op, const Array& b)
      : linear(op == "linear"),
        k(b.shape[linear]),
        n(b.shape[!linear]),
        dtype(b.dtype),
        isa(fd::isa()),
        nbytes(itemsize(dtype) *
               (dtype == DType::f32 ? panels_size<float>(k, n) : panels_size<double>(k, n))),
        data(static_cast<size_t>(nbytes)) {
    py::gil_scoped_release nogil;
    dtype == DType::f32 ? fill<float>(b) : fill<double>(b);
  }

  const bool linear;
  const int64_t k, n;
  const DType dtype;
  const Isa isa;
  const int64_t nbytes;
  const Scratch data;

 private:
  template <class T>
  void fill(const Array& b) {
    pack_panels<T>({b.ptr<T>(), k, n, b.stride[linear], b.stride[!linear]}, data.as<T>());
  }
};

// A checked call.
struct Call : ProductShapes {
  Array a, b, c, bias, addend;
  const Panels* packed = nullptr;  // in place of b
  bool has_bias = false, has_addend = false;
  double alpha = 1, beta = 1;  // beta · addend
  Activation activation = Activation::none;
  bool accumulate = false;
  Way way = Way::by_shape;

  // An addend that broadcasts to the result [..., m, n].
  bool read_addend(py::handle object) {
    if (object.is_none()) return true;
    if (!view(object, addend) || addend.dtype != a.dtype) return false;
    const int last = addend.ndim - 1;
    if (last >= 0 && addend.shape[last] != 1 && addend.shape[last] != n) return false;
    column[kAddend] = last >= 0 && addend.shape[last] != 1 ? addend.stride[last] : 0;
    if (has_m && last >= 1) {
      if (addend.shape[last - 1] != 1 && addend.shape[last - 1] != m) return false;
      row[kAddend] = addend.shape[last - 1] != 1 ? addend.stride[last - 1] : 0;
    }
    return has_addend = broadcast(kAddend, addend, 1 + has_m);
  }
};

template <class T>
void run(const Call& call) {
  Epilogue<T> epilogue;
  epilogue.accumulate = call.accumulate;
  Finish<T> finish;
  finish.alpha = static_cast<T>(call.alpha);
  finish.activation = call.activation;
  bool finishes = call.alpha != 1 || call.activation != Activation::none;
  const auto add = [&](Operand x, const Array& array, double scale) {
    // What is a bias by its strides, the tile adds in its registers.
    if (!epilogue.column_bias && !finish.addends[0].data && call.alpha == 1 && scale == 1 &&
        call.ndim == 0 && call.row[x] == 0 && call.column[x] == 1) {
      epilogue.column_bias = array.ptr<T>();
      return;
    }
    finish.addends[x == kAddend] = {array.ptr<T>(), call.row[x], call.column[x],
                                    static_cast<T>(scale)};
    finishes = true;
  };
  if (call.has_bias) add(kBias, call.bias, 1);
  if (call.has_addend) add(kAddend, call.addend, call.beta);

  const double nanoseconds = multiply_nanoseconds<T>(call.m, call.n, call.k) + 20;
  call.for_each(nanoseconds, [&](const int64_t* offset) {
    const Matrix<const T> a = call.matrix(kA, call.a.ptr<const T>() + offset[kA]);
    const Matrix<T> c = call.matrix(kC, call.c.ptr<T>() + offset[kC]);
    std::optional<Finish<T>> own;
    if (finishes) {
      own = finish;
      if (own->addends[0].data) own->addends[0].data += offset[kBias];
      if (own->addends[1].data) own->addends[1].data += offset[kAddend];
    }
    if (call.packed) {
      multiply_panels(a, call.packed->data.as<const T>(), c, epilogue, own ? &*own : nullptr);
      return;
    }
    const Matrix<const T> b = call.matrix(kB, call.b.ptr<const T>() + offset[kB]);
    multiply_by(call.way, a, b, c, epilogue, own ? &*own : nullptr);
  });
}

bool same_view(const Array& a, const Array& b) {
  return a.data == b.data && a.ndim == b.ndim && std::equal(a.shape, a.shape + a.ndim, b.shape) &&
         std::equal(a.stride, a.stride + a.ndim, b.stride);
}

// Makes or checks the output and runs. `onto`: it may be the very view that the addend is.
py::object finish(Call& call, py::handle out, bool onto = false) {
  py::object result = call.make_output(
      out, call.a.dtype,
      {&call.a, call.packed ? nullptr : &call.b, call.has_bias ? &call.bias : nullptr}, call.c);
  if (!result) return declined();
  py::object before;  // a copy of the addend
  if (!out.is_none() && call.has_addend && may_overlap(call.c, call.addend)) {
    if (!onto || !same_view(call.c, call.addend)) return declined();
    if (call.alpha == 1 && call.beta == 1 && call.activation == Activation::none) {
      call.accumulate = true;
      call.has_addend = false;
    } else {  // the sums would overwrite it
      Array copy;
      before = empty(call.c.dtype, call.c.ndim, call.c.shape, copy);
      copy_part(call.addend, copy, 0);
      call.addend = copy;
      call.follow(kAddend, copy);
    }
  }
  if (call.way != Way::strassen) call.fold_batch_into_rows();  // which halves each matrix

  const bool f32 = call.a.dtype == DType::f32;
  const double nanoseconds = static_cast<double>(call.batches()) *
                             (f32 ? multiply_nanoseconds<float>(call.m, call.n, call.k)
                                  : multiply_nanoseconds<double>(call.m, call.n, call.k));
  std::optional<py::gil_scoped_release> nogil;
  if (nanoseconds >= kSerialNanoseconds) nogil.emplace();
  f32 ? run<float>(call) : run<double>(call);
  return result;
}

bool is_float(const Array& x) { return x.dtype == DType::f32 || x.dtype == DType::f64; }

bool read_number(py::handle object, double& number) {
  if (PyFloat_CheckExact(object.ptr())) {
    number = PyFloat_AS_DOUBLE(object.ptr());
    return true;
  }
  if (!PyLong_CheckExact(object.ptr())) return false;
  number = PyLong_AsDouble(object.ptr());
  if (!PyErr_Occurred()) return true;
  PyErr_Clear();
  return false;
}

// The options `invariant` and `algorithm`; false for what the op's checks are to refuse.
bool read_way(py::handle invariant, py::handle algorithm, Way& way) {
  const auto is = [](py::handle option, const char* name) {
    return PyUnicode_Check(option.ptr()) &&
           PyUnicode_CompareWithASCIIString(option.ptr(), name) == 0;
  };
  if (invariant.is_none() && algorithm.is_none()) return true;
  if (algorithm.is_none() && is(invariant, "batch"))
    way = Way::rows_alike;
  else if (invariant.is_none() && is(algorithm, "strassen"))
    way = Way::strassen;
  else
    return false;
  return true;
}

bool read_activation(py::handle object, Activation& activation) {
  if (object.is_none()) return true;
  if (!PyUnicode_CheckExact(object.ptr())) return false;
  for (int i = 1; i <= static_cast<int>(Activation::gelu_tanh); ++i) {
    if (PyUnicode_CompareWithASCIIString(object.ptr(), kActivations[i]) != 0) continue;
    activation = static_cast<Activation>(i);
    return true;
  }
  return false;
}

bool read_left(py::handle object, Call& call) {
  return view(object, call.a) && is_float(call.a) && call.read_left(call.a);
}

bool read_product(py::handle a, py::handle b, Call& call) {
  return view(a, call.a) && is_float(call.a) && view(b, call.b) && call.b.dtype == call.a.dtype &&
         call.read(call.a, call.b);
}

py::object matmul(py::handle a, py::handle b, py::handle out, py::handle invariant,
                  py::handle algorithm) {
  Call call;
  if (!read_way(invariant, algorithm, call.way)) return declined();
  if (!read_product(a, b, call))
    return call.way == Way::by_shape ? matmul_bf16(a, b, out) : declined();
  return finish(call, out);
}

// torch's addmm and baddbmm: beta · input + alpha · a @ b, of matrices and of batches of them.
template <int ndim>
py::object add_product(py::handle input, py::handle a, py::handle b, py::handle beta,
                       py::handle alpha, py::handle out) {
  Call call;
  if (!read_number(beta, call.beta) || !read_number(alpha, call.alpha)) return declined();
  if (!read_product(a, b, call) || call.a.ndim != ndim || call.b.ndim != ndim) return declined();
  if (ndim == 3 && call.a.shape[0] != call.b.shape[0]) return declined();
  if (input.is_none() || !call.read_addend(input)) return declined();
  if (call.beta == 0) call.has_addend = false;  // not looked at, whatever it holds
  return finish(call, out, true);
}

bool read_panels(const Panels& panels, bool linear, Call& call) {
  call.packed = &panels;
  call.n = panels.n;
  return panels.linear == linear && panels.dtype == call.a.dtype && panels.isa == isa() &&
         panels.k == call.k;
}

// w[n, k], transposed, or its panels.
bool read_weight(py::handle weight, const Panels* panels, Call& call) {
  if (panels) return read_panels(*panels, true, call);
  if (!view(weight, call.b) || call.b.ndim != 2 || call.b.dtype != call.a.dtype) return false;
  call.n = call.b.shape[0];
  call.row[kB] = call.b.stride[1];
  call.column[kB] = call.b.stride[0];
  return call.b.shape[1] == call.k;
}

// activation(alpha · x[..., k] @ w[n, k]^T + bias[n] + residual[..., n]).
py::object affine(py::handle x, py::handle weight, const Panels* panels, py::handle bias,
                  py::handle residual, py::handle activation, py::handle alpha, py::handle out,
                  Way way = Way::by_shape) {
  Call call;
  call.way = way;
  if (!read_activation(activation, call.activation)) return declined();
  if (!alpha.is_none() && !read_number(alpha, call.alpha)) return declined();
  if (!read_left(x, call) || !read_weight(weight, panels, call)) return declined();
  if (!bias.is_none()) {
    if (!view(bias, call.bias) || call.bias.dtype != call.a.dtype) return declined();
    if (call.bias.ndim != 1 || call.bias.shape[0] != call.n) return declined();
    call.column[kBias] = call.bias.stride[0];
    call.has_bias = true;
  }
  if (!call.read_addend(residual)) return declined();
  if (call.has_addend) {  // of the result's very shape
    const Array& r = call.addend;
    if (r.ndim != call.a.ndim || r.shape[r.ndim - 1] != call.n) return declined();
    if (!std::equal(r.shape, r.shape + r.ndim - 1, call.a.shape)) return declined();
  }
  return finish(call, out);
}

py::object linear(py::handle x, py::handle weight, py::handle bias, py::handle out,
                  py::handle invariant) {
  Way way = Way::by_shape;
  if (!read_way(invariant, py::none(), way)) return declined();
  py::object y = affine(x, weight, nullptr, bias, py::none(), py::none(), py::none(), out, way);
  const bool other = way == Way::by_shape && y.ptr() == Py_NotImplemented;
  return other ? linear_bf16(x, weight, bias, out) : y;
}

py::object linear_activation(py::handle x, py::handle weight, py::handle bias, py::handle residual,
                             py::handle activation, py::handle alpha, py::handle out) {
  return affine(x, weight, nullptr, bias, residual, activation, alpha, out);
}

// A matrix, or NotImplemented.
py::object panels_of(const std::string& op, py::handle array) {
  Array b;
  if ((op != "matmul" && op != "linear") || !view(array, b) || !is_float(b) || b.ndim != 2)
    return declined();
  return py::cast(std::make_unique<Panels>(op, b));
}

py::object matmul_packed(py::handle a, const Panels& b, py::handle out) {
  Call call;
  if (!read_left(a, call) || !read_panels(b, false, call)) return declined();
  return finish(call, out);
}

py::object linear_packed(py::handle x, const Panels& weight, py::handle bias, py::handle residual,
                         py::handle activation, py::handle alpha, py::handle out) {
  return affine(x, py::none(), &weight, bias, residual, activation, alpha, out);
}

}  // namespace

void bind_matmul(py::module_& m) {
  const auto none = py::none();
  m.def("matmul", &matmul, py::arg("a"), py::arg("b"), py::arg("out") = none,
        py::arg("invariant") = none, py::arg("algorithm") = none);
  m.def("linear", &linear, py::arg("x"), py::arg("w"), py::arg("bias") = none,
        py::arg("out") = none, py::arg("invariant") = none);
  m.def("linear_activation", &linear_activation, py::arg("x"), py::arg("w"), py::arg("bias") = none,
        py::arg("residual") = none, py::arg("activation") = none, py::arg("alpha") = none,
        py::arg("out") = none);
  m.def("addmm", &add_product<2>, py::arg("input"), py::arg("a"), py::arg("b"),
        py::arg("beta") = 1.0, py::arg("alpha") = 1.0, py::arg("out") = none);
  m.def("baddbmm", &add_product<3>, py::arg("input"), py::arg("a"), py::arg("b"),
        py::arg("beta") = 1.0, py::arg("alpha") = 1.0, py::arg("out") = none);

  py::class_<Panels>(m, "Panels")
      .def_static("of", &panels_of, py::arg("op"), py::arg("array"))
      .def_readonly("nbytes", &Panels::nbytes)
      .def_property_readonly("isa", [](const Panels& p) { return isa_name(p.isa); });
  m.def("matmul_packed", &matmul_packed, py::arg("a"), py::arg("b"), py::arg("out") = none);
  m.def("linear_packed", &linear_packed, py::arg("x"), py::arg("w"), py::arg("bias") = none,
        py::arg("residual") = none, py::arg("activation") = none, py::arg("alpha") = none,
        py::arg("out") = none);
}

}  // namespace fd
