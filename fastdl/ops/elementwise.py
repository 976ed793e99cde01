"""Elementwise ops: broadcasting and promotion as in torch, vjps made of the same ops."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..backends.reference import elementwise as reference
from ..core.dtypes import FLOATS, as_dtype, bool_, float32, is_float, result_type
from ..core.errorbound import bounded
from ..core.errors import ArgumentError, DTypeError, ShapeError
from ..core.shapes import as_bool, broadcast, is_channels_last
from ..spec import BadInput, Bools, Cost, Ints, OpSpec, Out, Plan, Sample, exact, op, ulps
from .shape import promoted, sum_to_shape

NUMERIC = ("bool", "uint8", "int32", "int64", *FLOATS)

# Half a unit in the last place is what IEEE 754 asks of one operation; the judge's own rounding, in
# a type with at least 11 bits more, adds at most 2⁻¹¹ of a unit.
correctly_rounded = ulps(0.5 + 2**-11)


def _size(a: Any) -> int:
    return a.size if isinstance(a, np.ndarray) else 1


def bytes_of(a: Any) -> int:
    """Bytes of an operand, 0 of a Python scalar."""
    return a.nbytes if isinstance(a, np.ndarray) else 0


def cost_of(*arrays: Any, **_: Any) -> Cost:
    """One operation an element; the operands read and a result of the widest operand written."""
    shapes = [a.shape for a in arrays if isinstance(a, np.ndarray)]
    size = math.prod(np.broadcast_shapes(*shapes))
    width = max(a.itemsize for a in arrays if isinstance(a, np.ndarray))
    return Cost(size, sum(map(bytes_of, arrays)) + size * width)


def cost_of_deciding(a: Any, b: Any) -> Cost:
    """The same with a result of bools."""
    size = math.prod(np.broadcast_shapes(a.shape, b.shape))
    return Cost(size, bytes_of(a) + bytes_of(b) + size)


# --- two operands ------------------------------------------------------------------------------


def format_of(shape: tuple[int, ...], *arrays: Any) -> bool:
    """The memory format of a result: that of its first full-size operand."""
    for a in arrays:
        if isinstance(a, np.ndarray) and a.shape == shape:
            return is_channels_last(a)
    return False


def operands(name: str, *arrays: Any) -> tuple[tuple[int, ...], np.dtype]:
    """The broadcast shape and the promoted dtype of operands that may be Python scalars."""
    shapes = [a.shape for a in arrays if isinstance(a, np.ndarray)]
    if not shapes:
        raise DTypeError(f"{name}: got only Python scalars, want at least one array")
    return broadcast(name, *shapes), result_type(*arrays)


def binary_shape(
    name: str, *, result: np.dtype | None = None, floats: bool = False, bools: bool = True
) -> Callable[..., Plan]:
    """The shape function of `name(a, b)`.

    `result` is the output's dtype if not the promoted one; `floats` promotes integers to float32;
    without `bools`, a bool operand is refused.
    """

    def shape(a: Any, b: Any) -> Plan:
        common, dtype = operands(name, a, b)
        if not bools and any(getattr(x, "dtype", type(x)) in (bool_, bool) for x in (a, b)):
            raise DTypeError(f"{name}: got a bool operand, want numbers; cast it first")
        if floats and not is_float(dtype):
            dtype = float32
        out = Out(common, dtype if result is None else result, format_of(common, a, b))
        return Plan((out,), (promoted(name, a, dtype), promoted(name, b, dtype)))

    return shape


def sum_like(saved: Any, position: int, gradient: Callable[[], Any]) -> Any:
    """The gradient of an operand, summed over the dims it was broadcast along, if wanted."""
    if not saved.needs[position]:
        return None
    return sum_to_shape(gradient(), saved.inputs[position].shape)


def _add_vjp(saved: Any, g: Any) -> tuple[Any, ...]:
    return sum_like(saved, 0, lambda: g), sum_like(saved, 1, lambda: g)


def _sub_vjp(saved: Any, g: Any) -> tuple[Any, ...]:
    return sum_like(saved, 0, lambda: g), sum_like(saved, 1, lambda: neg(g))


def _mul_vjp(saved: Any, g: Any) -> tuple[Any, ...]:
    return (
        sum_like(saved, 0, lambda: mul(g, saved.b)),
        sum_like(saved, 1, lambda: mul(g, saved.a)),
    )


def _div_vjp(saved: Any, g: Any) -> tuple[Any, ...]:
    return (
        sum_like(saved, 0, lambda: div(g, saved.b)),
        sum_like(saved, 1, lambda: neg(mul(g, div(div(saved.a, saved.b), saved.b)))),
    )


BINARY_SAMPLES = (
    *(Sample(f"n{n}", ((n,), (n,))) for n in (1, 7, 16, 17, 33)),
    Sample("scalar array", ((), ())),
    Sample("python scalar", ((3, 5), 2.5)),
    Sample("python scalar first", (-3, (17,))),
    Sample("row", ((5, 33), (33,))),
    Sample("column", ((5, 33), (5, 1))),
    Sample("outer", ((7, 1, 9), (1, 5, 9))),
    Sample("channel bias", ((2, 3, 5, 7), (3, 1, 1))),
    Sample("channels last", ((2, 3, 5, 7), (2, 3, 5, 7)), channels_last=True),
    Sample("int with float", (Ints((4, 9), -50, 50, "int32"), (4, 9))),
    Sample("empty", ((0, 3), (3,))),
    Sample("activations", ((32, 64, 56, 56), (32, 64, 56, 56)), bench=True),
    Sample("batch bias", ((256, 1024), (1024,)), bench=True),
)


def f32(*shape: int) -> np.ndarray:
    """Zeros, for bad inputs."""
    return np.zeros(shape, np.float32)


BINARY_BAD = (
    BadInput("shapes", lambda: ((f32(3, 4), f32(3)), {}), ShapeError),
    BadInput("not an array", lambda: ((f32(3), "x"), {}), DTypeError),
    BadInput("list", lambda: ((f32(3), [1, 2, 3]), {}), DTypeError),
    BadInput("only scalars", lambda: ((1.0, 2.0), {}), DTypeError),
    BadInput("complex", lambda: ((f32(3), np.zeros(3, np.complex64)), {}), DTypeError),
    BadInput("object", lambda: ((np.zeros(3, object), f32(3)), {}), DTypeError),
    BadInput("out shape", lambda: ((f32(3), f32(3)), {"out": f32(4)}), ShapeError),
    BadInput("out dtype", lambda: ((f32(3), f32(3)), {"out": np.zeros(3)}), DTypeError),
    BadInput("unknown option", lambda: ((f32(3), f32(3)), {"alpha": 2}), ArgumentError),
)


def _binary(name: str, vjp: Any = None, *, saves: Any = (), **rules: Any) -> OpSpec:
    compares = rules.get("result") == bool_
    return op(
        name=name,
        family="elementwise",
        signature="a, b -> y",
        shape=binary_shape(name, **rules),
        reference=getattr(reference, name),
        vjp=vjp,
        saves=saves,
        cost=cost_of_deciding if compares else cost_of,
        bound=exact if compares else correctly_rounded,
        samples=BINARY_SAMPLES,
        bad_inputs=BINARY_BAD,
        dtypes=NUMERIC if rules.get("bools", True) else NUMERIC[1:],
        scalars=True,
        elementwise=True,
    )


add = _binary("add", _add_vjp)
sub = _binary("sub", _sub_vjp, bools=False)
mul = _binary("mul", _mul_vjp, saves={"a": (1,), "b": (0,)})
div = _binary("div", _div_vjp, saves={"a": (1,), "b": (0, 1)}, floats=True)
eq, ne, lt, le, gt, ge = (
    _binary(name, result=bool_) for name in ("eq", "ne", "lt", "le", "gt", "ge")
)


# --- where -------------------------------------------------------------------------------------


def _where_shape(cond: Any, a: Any, b: Any) -> Plan:
    if not isinstance(cond, np.ndarray) or cond.dtype != bool_:
        got = cond.dtype if isinstance(cond, np.ndarray) else type(cond).__name__
        raise DTypeError(f"where: cond: got {got}, want a bool array")
    common = broadcast("where", *(x.shape for x in (cond, a, b) if isinstance(x, np.ndarray)))
    dtype = result_type(a, b)
    out = Out(common, dtype, format_of(common, cond, a, b))
    return Plan((out,), (cond, promoted("where", a, dtype), promoted("where", b, dtype)))


def _where_vjp(saved: Any, g: Any) -> tuple[Any, ...]:
    return (
        None,
        sum_like(saved, 1, lambda: where(saved.cond, g, 0)),
        sum_like(saved, 2, lambda: where(saved.cond, 0, g)),
    )


where = op(
    name="where",
    family="elementwise",
    signature="cond, a, b -> y",
    shape=_where_shape,
    reference=reference.where,
    vjp=_where_vjp,
    saves=("cond",),
    cost=cost_of,
    bound=exact,
    samples=(
        *(Sample(f"n{n}", (Bools((n,)), (n,), (n,))) for n in (1, 7, 16, 17, 33)),
        Sample("scalar", (Bools((5, 9)), (5, 9), 0)),
        Sample("two scalars", (Bools((5, 9)), 1.0, 0.0)),
        Sample("broadcast", (Bools((5, 1)), (9,), (5, 9))),
        Sample(
            "channels last", (Bools((2, 3, 5, 7)), (2, 3, 5, 7), (2, 3, 5, 7)), channels_last=True
        ),
        Sample("empty", (Bools((0,)), (0,), (0,))),
        Sample("mask", (Bools((256, 1024)), (256, 1024), 0), bench=True),
    ),
    bad_inputs=(
        BadInput("int cond", lambda: ((np.zeros(3, int), f32(3), f32(3)), {}), DTypeError),
        BadInput("scalar cond", lambda: ((True, f32(3), f32(3)), {}), DTypeError),
        BadInput("shapes", lambda: ((np.zeros(3, bool), f32(4), f32(3)), {}), ShapeError),
        BadInput("complex", lambda: ((np.zeros(3, bool), np.zeros(3, complex), 0), {}), DTypeError),
    ),
    dtypes=NUMERIC,
    scalars=True,
    elementwise=True,
)


# --- one operand -------------------------------------------------------------------------------

UNARY_SAMPLES = (
    *(Sample(f"n{n}", ((n,),)) for n in (1, 7, 8, 15, 16, 17, 33)),
    Sample("scalar array", ((),)),
    Sample("matrix", ((5, 33),)),
    Sample("channels last", ((2, 3, 5, 7),), channels_last=True),
    Sample("empty", ((0, 3),)),
    Sample("activations", ((32, 64, 56, 56),), bench=True),
    Sample("rows", ((256, 1024),), bench=True),
)
UNARY_BAD = (
    BadInput("not an array", lambda: (([1.0, 2.0],), {}), DTypeError),
    BadInput("python scalar", lambda: ((1.0,), {}), DTypeError),
    BadInput("complex", lambda: ((np.zeros(3, np.complex128),), {}), DTypeError),
    BadInput("object", lambda: ((np.zeros(3, object),), {}), DTypeError),
    BadInput("out shape", lambda: ((f32(3),), {"out": f32(4)}), ShapeError),
    BadInput("out dtype", lambda: ((f32(3),), {"out": np.zeros(3)}), DTypeError),
    BadInput("two arrays", lambda: ((f32(3), f32(3)), {}), ArgumentError),
)


def unary_shape(name: str, floats: bool) -> Callable[..., Plan]:
    """The shape function of `name(x)`, no bools; `floats` promotes integers to float32."""

    def shape(x: Any) -> Plan:
        dtype = float32 if floats and not is_float(x.dtype) else x.dtype
        if dtype == bool_:
            raise DTypeError(f"{name}: got a bool array, want numbers; cast it first")
        out = Out(x.shape, dtype, is_channels_last(x))
        return Plan((out,), (promoted(name, x, dtype),))

    return shape


def _unary(name: str, vjp: Any, saved: str = "", floats: bool = True) -> OpSpec:
    """An op of one operand; a transcendental one has float32 results for integers, and ≤ 2 ULP."""
    return op(
        name=name,
        family="elementwise",
        signature="x -> y",
        shape=unary_shape(name, floats),
        reference=getattr(reference, name),
        vjp=vjp,
        saves=(saved,) if saved else (),
        cost=cost_of,
        bound=ulps(2) if floats else exact,
        samples=UNARY_SAMPLES,
        bad_inputs=UNARY_BAD,
        dtypes=NUMERIC if floats else NUMERIC[1:],
        elementwise=True,
    )


neg: OpSpec = _unary("neg", lambda saved, g: (neg(g),), floats=False)
relu = _unary("relu", lambda saved, g: (relu_backward(g, saved.y),), "y", floats=False)
exp = _unary("exp", lambda saved, g: (mul(g, saved.y),), "y")
log = _unary("log", lambda saved, g: (div(g, saved.x),), "x")
tanh = _unary("tanh", lambda saved, g: (tanh_backward(g, saved.y),), "y")
sigmoid = _unary("sigmoid", lambda saved, g: (sigmoid_backward(g, saved.y),), "y")


def _erf_vjp(saved: Any, g: Any) -> tuple[Any, ...]:
    return (mul(g, mul(exp(neg(mul(saved.x, saved.x))), 2 / math.sqrt(math.pi))),)


erf = _unary("erf", _erf_vjp, "x")


# --- dtype and memory format -------------------------------------------------------------------


def _cast_shape(x: Any, dtype: Any) -> Plan:
    wanted = as_dtype(dtype, "cast: dtype")
    return Plan((Out(x.shape, wanted, is_channels_last(x)),), (x,), {"dtype": wanted.name})


cast: OpSpec = op(
    name="cast",
    family="elementwise",
    signature="x; dtype -> y",
    shape=_cast_shape,
    reference=reference.cast,
    vjp=lambda saved, g: (cast(g, dtype=saved.inputs[0].dtype.name),),
    cost=lambda x, dtype: Cost(0, x.size * (x.itemsize + as_dtype(dtype).itemsize)),
    bound=exact,
    samples=(
        *(
            Sample(f"to {name}", ((3, 17),), {"dtype": name})
            for name in ("float32", "float64", "int64", "int32", "bool")
        ),
        Sample("from int64", (Ints((33,), -(2**40), 2**40),), {"dtype": "float32"}),
        Sample("from int32", (Ints((33,), -(2**31), 2**31, "int32"),), {"dtype": "float32"}),
        Sample("from uint8", (Ints((33,), 0, 256, "uint8"),), {"dtype": "float32"}),
        Sample("from bool", (Bools((33,)),), {"dtype": "float64"}),
        Sample("scalar array", ((),), {"dtype": "float64"}),
        Sample("channels last", ((2, 3, 5, 7),), {"dtype": "float64"}, channels_last=True),
        Sample("empty", ((0, 3),), {"dtype": "int64"}),
        Sample(
            "image", (Ints((8, 3, 224, 224), 0, 256, "uint8"),), {"dtype": "float32"}, bench=True
        ),
    ),
    bad_inputs=(
        BadInput("not an array", lambda: (([1.0],), {"dtype": "int64"}), DTypeError),
        BadInput("complex", lambda: ((np.zeros(3, complex),), {"dtype": "int64"}), DTypeError),
        BadInput("complex dtype", lambda: ((f32(3),), {"dtype": "complex64"}), DTypeError),
        BadInput("unknown dtype", lambda: ((f32(3),), {"dtype": "float99"}), DTypeError),
    ),
    dtypes=NUMERIC,
)


def _copy_shape(x: Any, channels_last: Any = None) -> Plan:
    last = is_channels_last(x) if channels_last is None else channels_last
    last = as_bool("copy", "channels_last", last)
    if last and x.ndim != 4:
        raise ShapeError(f"copy: channels_last: got an array of shape {x.shape}, want 4 dims")
    return Plan((Out(x.shape, x.dtype, last),), (x,), {"channels_last": last})


copy = op(
    name="copy",
    family="elementwise",
    signature="x; channels_last -> y",
    shape=_copy_shape,
    reference=reference.copy,
    vjp=lambda saved, g: (g,),
    cost=lambda x, channels_last: Cost(0, 2 * x.nbytes),
    bound=exact,
    samples=(
        *UNARY_SAMPLES[:-2],
        Sample("to channels last", ((2, 5, 7, 9),), {"channels_last": True}),
        Sample("to NCHW", ((2, 5, 7, 9),), {"channels_last": False}, channels_last=True),
        Sample("reorder", ((8, 64, 56, 56),), {"channels_last": True}, bench=True),
        Sample("reorder back", ((8, 64, 56, 56),), {"channels_last": False}, True, bench=True),
    ),
    bad_inputs=(
        *UNARY_BAD[:6],
        BadInput("rank", lambda: ((f32(3, 4),), {"channels_last": True}), ShapeError),
        BadInput("flag", lambda: ((f32(3, 4),), {"channels_last": "NHWC"}), DTypeError),
    ),
    dtypes=NUMERIC,
)


# --- gradients of activations, from the activation's output ------------------------------------


def backward_shape(name: str) -> Callable[..., Plan]:
    """The shape function of the gradient `name(g, y)` of an activation."""

    def shape(g: Any, y: Any) -> Plan:
        if g.shape != y.shape:
            raise ShapeError(f"{name}: g has shape {g.shape}, want that of y, {y.shape}")
        dtype = result_type(g, y)
        if not is_float(dtype):
            raise DTypeError(f"{name}: got {g.dtype} and {y.dtype}, want floats")
        out = Out(y.shape, dtype, is_channels_last(y))
        return Plan((out,), (promoted(name, g, dtype), promoted(name, y, dtype)))

    return shape


def _relu_backward_vjp(saved: Any, v: Any) -> tuple[Any, ...]:
    return relu_backward(v, saved.y) if saved.needs[0] else None, None


def _tanh_backward_vjp(saved: Any, v: Any) -> tuple[Any, ...]:
    return (
        tanh_backward(v, saved.y) if saved.needs[0] else None,
        mul(mul(mul(v, saved.g), saved.y), -2) if saved.needs[1] else None,
    )


def _sigmoid_backward_vjp(saved: Any, v: Any) -> tuple[Any, ...]:
    return (
        sigmoid_backward(v, saved.y) if saved.needs[0] else None,
        mul(mul(v, saved.g), sub(1, mul(saved.y, 2))) if saved.needs[1] else None,
    )


def _activation_backward(name: str, vjp: Any, saves: tuple[str, ...], bound: Any) -> OpSpec:
    return op(
        name=name,
        family="elementwise",
        signature="g, y -> dx",
        shape=backward_shape(name),
        reference=getattr(reference, name),
        vjp=vjp,
        saves=saves,
        cost=cost_of,
        bound=bound,
        samples=(
            *(Sample(f"n{n}", ((n,), (n,))) for n in (1, 7, 16, 17, 33)),
            Sample("scalar array", ((), ())),
            Sample("channels last", ((2, 3, 5, 7), (2, 3, 5, 7)), channels_last=True),
            Sample("empty", ((0, 3), (0, 3))),
            Sample("activations", ((32, 64, 56, 56), (32, 64, 56, 56)), bench=True),
        ),
        bad_inputs=(
            BadInput("shapes", lambda: ((f32(3), f32(4)), {}), ShapeError),
            BadInput("ints", lambda: ((np.zeros(3, int), np.zeros(3, int)), {}), DTypeError),
            BadInput("one array", lambda: ((f32(3), "y"), {}), DTypeError),
        ),
        elementwise=True,
    )


relu_backward: OpSpec = _activation_backward("relu_backward", _relu_backward_vjp, ("y",), exact)
tanh_backward: OpSpec = _activation_backward(
    "tanh_backward", _tanh_backward_vjp, ("g", "y"), bounded(lambda g, y: g * (1 - y * y))
)
sigmoid_backward: OpSpec = _activation_backward(
    "sigmoid_backward", _sigmoid_backward_vjp, ("g", "y"), bounded(lambda g, y: g * (y * (1 - y)))
)
