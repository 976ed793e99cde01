"""Matrix products with what becomes of their sums: linear_activation, addmm, baddbmm."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np

from ..backends.reference import matmul_fused as reference
from ..core import checks
from ..core.dtypes import FLOATS, is_float
from ..core.errorbound import Bounded, bounded
from ..core.errors import ArgumentError, DTypeError, ShapeError
from ..core.shapes import as_float, as_int
from ..spec import OPS, SUMS, Accumulated, BadInput, Cost, OpSpec, Out, Plan, Sample, op
from .elementwise import mul
from .matmul import linear_out, matmul, transposed, zeros
from .shape import reshape, sum_to_shape

# --- linear_activation -------------------------------------------------------------------------


def _linear_shape(
    x: np.ndarray,
    w: np.ndarray,
    bias: np.ndarray | None = None,
    residual: np.ndarray | None = None,
    *,
    activation: str | None = None,
    alpha: float = 1.0,
) -> Plan:
    name = "linear_activation"
    checks.same_dtype(name, FLOATS, x=x, w=w, bias=bias, residual=residual)
    out = linear_out(name, x, w, bias)
    if residual is not None:
        checks.shape(name, "residual", residual, out.shape)
    if activation not in reference.ACTIVATIONS:
        known = ", ".join(repr(a) for a in reference.ACTIVATIONS)
        raise ArgumentError(f"{name}: activation: got {activation!r}, want one of {known}")
    options = {"activation": activation, "alpha": as_float(name, "alpha", alpha)}
    return Plan((out,), (x, w, bias, residual), options)


def _before_activation(saved: Any) -> Any:
    options = {"activation": None, "alpha": saved.options["alpha"]}
    return linear_activation(saved.x, saved.w, saved.bias, saved.residual, **options)


def _linear_gradients(saved: Any, g: Any, composed: bool) -> tuple[Any, ...]:
    activation, alpha = saved.options["activation"], saved.options["alpha"]
    if activation is not None:
        spec = OPS[activation]
        rule = (spec.composed_vjp if composed else None) or spec.vjp
        assert rule is not None
        # What most of them read was never stored, and is computed again.
        x = _before_activation(saved) if "x" in spec.saves else None
        (g,) = rule(SimpleNamespace(x=x, y=saved.y, options={}, needs=(True,)), g)
    n, k = saved.inputs[1].shape
    rows = math.prod(saved.inputs[0].shape[:-1])
    flat = reshape(g, shape=(rows, n))
    scaled = flat if alpha == 1 or not any(saved.needs[:2]) else mul(flat, alpha)
    dx = dw = db = None
    if saved.needs[0]:
        dx = reshape(matmul(scaled, saved.w), shape=saved.inputs[0].shape)
    if saved.needs[1]:
        dw = matmul(transposed(scaled), reshape(saved.x, shape=(rows, k)))
    if saved.needs[2]:
        db = OPS["sum"](flat, dim=(0,), keepdim=False)
    return dx, dw, db, g if saved.needs[3] else None


def _linear_vjp(saved: Any, g: Any) -> tuple[Any, ...]:
    return _linear_gradients(saved, g, composed=False)


def _linear_composed_vjp(saved: Any, g: Any) -> tuple[Any, ...]:
    return _linear_gradients(saved, g, composed=True)


def _linear_bounded(
    x: Bounded, w: Bounded, bias: Any, residual: Any, *, activation: str | None, alpha: float
) -> Bounded:
    if alpha == 1:
        z = x.affine([(x, w.T.factor())], [bias, residual])
    else:
        z = x.affine([(x, w.T.factor())], []).in_range() * alpha
        for term in (bias, residual):
            z = z if term is None else z + term
    z = z.in_range()
    own = {"relu": Bounded.relu, "sigmoid": Bounded.sigmoid, "tanh": Bounded.tanh}
    y = own.get(activation or "", reference.ACTIVATIONS[activation])(z)
    # Where the sum may be NaN for overflow, the activation is, whatever its range.
    return y._make(y.value, np.where(np.isinf(z.error), np.inf, y.error))


def _linear_cost(
    x: np.ndarray, w: np.ndarray, bias: Any = None, residual: Any = None, **options: Any
) -> Cost:
    rows, (n, k) = math.prod(x.shape[:-1]), w.shape
    given = sum(a is not None for a in (bias, residual)) + (options.get("alpha", 1) != 1)
    moved = x.nbytes + w.nbytes + sum(a.nbytes for a in (bias, residual) if a is not None)
    return Cost(rows * n * (2.0 * k + given), moved + rows * n * x.itemsize)


def _linear_samples() -> tuple[Sample, ...]:
    def sample(rows: int, k: int, n: int, activation: str | None, **options: Any) -> Sample:
        arrays = ((rows, k), (n, k), (n,), (rows, n))
        name = f"{activation} {rows}x{k}x{n}" + (" scaled" if options else "")
        return Sample(name, arrays, {"activation": activation, **options})

    sizes = [(3, 5, 7), (31, 32, 33), (17, 1040, 19), (3, 37, 130), (130, 37, 3), (1, 700, 9)]
    named = [a for a in reference.ACTIVATIONS if a is not None]
    return (
        *(sample(*size, a) for size, a in zip(sizes, named, strict=True)),
        *(sample(8, 9, 21, a, alpha=-0.75) for a in reference.ACTIVATIONS),
        sample(2, 0, 5, "gelu"),
        sample(0, 3, 4, "relu"),
        sample(65, 70, 67, "silu", alpha=0.1),
        sample(40, 20, 36, None, alpha=2.0),
        Sample("no bias", ((9, 17), (11, 17), None, (9, 11)), {"activation": "relu"}),
        Sample("no residual", ((9, 17), (11, 17), (11,), None), {"activation": "tanh"}),
        Sample("neither", ((9, 17), (11, 17), None, None), {"activation": "gelu"}),
        Sample("residual alone", ((9, 17), (11, 17), None, (9, 11))),
        Sample("vector", ((17,), (11, 17), (11,), (11,)), {"activation": "silu"}),
        Sample("3-D", ((2, 5, 17), (11, 17), (11,), (2, 5, 11)), {"activation": "sigmoid"}),
        Sample(
            "transformer", ((128, 768), (3072, 768), (3072,), None), {"activation": "gelu"},
            bench=True,
        ),
    )  # fmt: skip


linear_activation: OpSpec = op(
    name="linear_activation",
    family="matmul",
    signature="x[...,K], w[N,K], bias?[N], residual?[...,N]; activation, alpha -> y[...,N]",
    shape=_linear_shape,
    reference=reference.linear_activation,
    vjp=_linear_vjp,
    composed_vjp=_linear_composed_vjp,
    saves=("x", "w", "bias", "residual", "y"),
    cost=_linear_cost,
    terms=lambda x, w, bias=None, residual=None, **options: max(
        w.shape[1] + (bias is not None) + (residual is not None), 1
    ),
    bound=bounded(_linear_bounded),
    samples=_linear_samples(),
    bad_inputs=(
        BadInput("inner", lambda: ((zeros(2, 3), zeros(4, 5)), {}), ShapeError),
        BadInput("0-d", lambda: ((zeros(), zeros(4, 5)), {}), ShapeError),
        BadInput("bias", lambda: ((zeros(2, 3), zeros(4, 3), zeros(3)), {}), ShapeError),
        BadInput(
            "a residual that would broadcast",
            lambda: ((zeros(2, 3), zeros(4, 3), None, zeros(1, 4)), {}),
            ShapeError,
        ),
        BadInput(
            "a residual with a dim more",
            lambda: ((zeros(2, 3), zeros(4, 3), None, zeros(1, 2, 4)), {}),
            ShapeError,
        ),
        BadInput(
            "residual dtype",
            lambda: ((zeros(2, 3), zeros(4, 3), None, zeros(2, 4, dtype="f8")), {}),
            DTypeError,
        ),
        BadInput("ints", lambda: ((zeros(2, 3, dtype="i4"), zeros(4, 3, dtype="i4")), {}),
                 DTypeError),
        BadInput("activation", lambda: ((zeros(2, 3), zeros(4, 3)), {"activation": "swish"}),
                 ArgumentError),
        BadInput("alpha", lambda: ((zeros(2, 3), zeros(4, 3)), {"alpha": "1"}), DTypeError),
    ),
)  # fmt: skip

# --- addmm, baddbmm ----------------------------------------------------------------------------


def _add_product_shape(
    name: str, dims: int, input: Any, a: Any, b: Any, beta: Any, alpha: Any
) -> Plan:
    dtype = checks.same_dtype(name, checks.NUMBERS, input=input, a=a, b=b)
    batch = "B, " * (dims == 3)
    checks.rank(name, "a", a, f"{batch}N, K")
    checks.rank(name, "b", b, f"{batch}K, M")
    if a.shape[:-2] != b.shape[:-2] or a.shape[-1] != b.shape[-2]:
        raise ShapeError(
            f"{name}: argument a has shape {a.shape}, b {b.shape}: want [{batch}N, K] and"
            f" [{batch}K, M]"
        )
    shape = (*a.shape[:-1], b.shape[-1])
    ones = (1,) * (dims - input.ndim)
    own = (*ones, *input.shape)
    if len(own) != dims or any(n not in (1, m) for n, m in zip(own, shape, strict=True)):
        raise ShapeError(
            f"{name}: argument input has shape {input.shape}, which does not broadcast to {shape}"
        )
    number = as_float if is_float(dtype) else as_int
    options = {"beta": number(name, "beta", beta), "alpha": number(name, "alpha", alpha)}
    return Plan((Out(shape, dtype),), (input, a, b), options)


def _add_product_vjp(saved: Any, g: Any) -> tuple[Any, ...]:
    beta, alpha = saved.options["beta"], saved.options["alpha"]
    d_input = da = db = None
    if saved.needs[0]:
        d_input = sum_to_shape(g if beta == 1 else mul(g, beta), saved.inputs[0].shape)
    if any(saved.needs[1:]) and alpha != 1:
        g = mul(g, alpha)
    if saved.needs[1]:
        da = matmul(g, transposed(saved.b))
    if saved.needs[2]:
        db = matmul(transposed(saved.a), g)
    return d_input, da, db


def _add_product_cost(input: np.ndarray, a: np.ndarray, b: np.ndarray, **options: Any) -> Cost:
    size = math.prod(a.shape[:-1]) * b.shape[-1]
    read = input.nbytes if options.get("beta", 1) else 0
    return Cost(size * (2.0 * a.shape[-1] + 3), read + a.nbytes + b.nbytes + size * a.itemsize)


def _add_product_samples(batch: tuple[int, ...]) -> tuple[Sample, ...]:
    def sample(n: int, k: int, m: int, *own: int, **options: Any) -> Sample:
        given = [f"{key} {value}" for key, value in options.items()]
        name = " ".join([f"{'x'.join(map(str, own)) or 'full'} to {n}x{k}x{m}", *given])
        return Sample(name, (own or (*batch, n, m), (*batch, n, k), (*batch, k, m)), options)

    return (
        *(sample(*size) for size in [(1, 1, 1), (3, 5, 7), (31, 32, 33), (17, 1040, 19),
                                     (3, 37, 130), (130, 37, 3), (0, 3, 4), (3, 0, 4)]),
        sample(17, 1040, 19, beta=2.0, alpha=-2.0),
        sample(13, 20, 37, 37),
        sample(13, 20, 37, 13, 1, beta=2.0),
        sample(13, 20, 37, 1, alpha=-1.0),
        sample(13, 20, 37, beta=-3.0, alpha=2.0),
        sample(13, 20, 37, beta=0.1, alpha=-0.75),
        sample(13, 20, 37, beta=0.0),
        sample(13, 20, 37, 1, 37, beta=0, alpha=0.3),
        sample(9, 16, 20, alpha=0.0),
        sample(65, 70, 67, beta=0.5),
        Sample("a layer", ((*batch, 768), (*batch, 128, 768), (*batch, 768, 768))
               if not batch else ((8, 128, 128), (8, 128, 64), (8, 64, 128)), bench=True),
    )  # fmt: skip


_scaled = Accumulated(("alpha", "beta"))
SUMS[_scaled] = 1


def _add_product(name: str, dims: int) -> OpSpec:
    batch = (2,) * (dims - 2)
    dots = "B," * (dims - 2)

    def shape(input: Any, a: Any, b: Any, *, beta: Any = 1.0, alpha: Any = 1.0) -> Plan:
        return _add_product_shape(name, dims, input, a, b, beta, alpha)

    def bad(
        what: str, error: type[Exception], *shapes: Any, dtype: Any = "f4", **options: Any
    ) -> BadInput:
        def call() -> tuple[tuple[Any, ...], dict[str, Any]]:
            return tuple(np.zeros(s, dtype) for s in shapes), options

        return BadInput(what, call, error)

    good = ((4,), (*batch, 2, 3), (*batch, 3, 4))
    return op(
        name=name,
        family="matmul",
        signature=f"input[...], a[{dots}N,K], b[{dots}K,M]; beta, alpha -> y[{dots}N,M]",
        shape=shape,
        reference=reference.addmm,
        vjp=_add_product_vjp,
        saves={"a": (2,), "b": (1,)},
        cost=_add_product_cost,
        # alpha and beta rounded, both products, and the sum of them
        terms=lambda input, a, b, **options: a.shape[-1] + 3,
        bound=_scaled,
        samples=_add_product_samples(batch),
        bad_inputs=(
            bad("inner", ShapeError, (4,), (*batch, 2, 3), (*batch, 2, 4)),
            bad("a vector", ShapeError, (4,), (3,), (*batch, 3, 4)),
            bad("input", ShapeError, (3,), *good[1:]),
            bad("input with a dim more", ShapeError, (1, *batch, 2, 4), *good[1:]),
            bad("beta", DTypeError, *good, beta="1"),
            bad("alpha", DTypeError, *good, alpha=None),
            bad("complex", DTypeError, *good, dtype="c8"),
            bad("a factor of ints", DTypeError, *good, dtype="i4", beta=0.5),
            bad("unknown option", ArgumentError, *good, gamma=1),
            BadInput(
                "dtypes",
                lambda: ((np.zeros(4), *(np.zeros(s, "f4") for s in good[1:])), {}),
                DTypeError,
            ),
            BadInput(
                "no input",
                lambda: ((None, *(np.zeros(s, "f4") for s in good[1:])), {}),
                DTypeError,
            ),
        ),
        onto=0,
    )


addmm = _add_product("addmm", 2)
baddbmm = _add_product("baddbmm", 3)
