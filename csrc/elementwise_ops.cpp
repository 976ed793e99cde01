// Binds every op of the tables of kernels/cpu/elementwise_*.inc: f(arrays..., out=None,
// options...).
#include <algorithm>
#include <string>
#include <vector>

#include "elementwise.h"
#include "isa.h"

namespace fd {
namespace {

std::vector<std::string> words(const char* text) {
  std::vector<std::string> found;
  std::string rest = text;
  for (size_t at; !rest.empty(); rest.erase(0, std::min(at, rest.size() - 1) + 1)) {
    at = rest.find(' ');
    found.push_back(rest.substr(0, at));
  }
  return found;
}

constexpr const char* kDTypes[] = {"bool", "uint8", "int32", "int64", "float32", "float64"};

// Reads the keyword arguments; false if one is missing, unknown or not a number.
bool parse(const py::kwargs& named, const std::vector<PyObject*>& options, PyObject* out_name,
           Given& given, py::handle& out) {
  Py_ssize_t known = 0;
  for (size_t i = 0; i < options.size(); ++i) {
    PyObject* value = PyDict_GetItem(named.ptr(), options[i]);
    if (!value || !(PyFloat_CheckExact(value) || PyLong_CheckExact(value))) return false;
    given.option[i] = PyFloat_AsDouble(value);
    if (PyErr_Occurred()) {  // an int past the range of doubles
      PyErr_Clear();
      return false;
    }
    ++known;
  }
  if (PyObject* value = PyDict_GetItem(named.ptr(), out_name)) {
    out = value;
    ++known;
  }
  return known == PyDict_GET_SIZE(named.ptr());
}

// `pick` gives the table of the instruction set in use.
template <class Pick>
void bind(py::module_& m, py::list& all, Pick pick) {
  PyObject* out_name = PyUnicode_InternFromString("out");
  const ElementwiseOps table = pick();
  for (int i = 0; i < table.count; ++i) {
    const ElementwiseOp& op = table.ops[i];
    std::vector<PyObject*> options;
    for (const std::string& word : words(op.options))
      options.push_back(PyUnicode_InternFromString(word.c_str()));
    m.def(op.name, [=](const py::args& arrays, const py::kwargs& named) {
      const ElementwiseOp& now = pick().ops[i];
      Given given;
      py::handle out = Py_None, x[3];
      if (PyTuple_GET_SIZE(arrays.ptr()) != now.arrays) return declined();
      if (!parse(named, options, out_name, given, out)) return declined();
      for (int k = 0; k < now.arrays; ++k) x[k] = PyTuple_GET_ITEM(arrays.ptr(), k);
      return run_op(now, x, given, out);
    });
    py::list dtypes;
    for (int d = 0; d < 6; ++d)
      if (op.loop[d]) dtypes.append(kDTypes[d]);
    all.append(py::make_tuple(op.name, py::tuple(dtypes)));
  }
}

}  // namespace

void bind_elementwise_ops(py::module_& m) {
  py::list all;
  bind(m, all, [] { return FD_TABLE(elementwise_math); });
  bind(m, all, [] { return FD_TABLE(elementwise_activation); });
  m.attr("elementwise_ops") = py::tuple(all);
}

}  // namespace fd
