"""Matrix products: matmul and linear."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..backends.reference import matmul as reference
from ..core import checks
from ..core.errors import ArgumentError, DTypeError, ShapeError
from ..spec import OPS, BadInput, Cost, Out, Plan, Sample, accumulated, op
from .matmul_edges import matmul_edges
from .matmul_strassen import BAD_INPUTS, SAMPLES, strassen
from .shape import permute, reshape, sum_to_shape

# --- shapes ------------------------------------------------------------------------------------


def _chosen(op: str, **options: str | None) -> dict[str, str]:
    """The options that were given; ArgumentError for one that has no such value."""
    for name, value in options.items():
        if value not in (None, _VALUES[name]):
            raise ArgumentError(f"{op}: {name}: got {value!r}, want {_VALUES[name]!r} or None")
    return {name: value for name, value in options.items() if value is not None}


_VALUES = {"invariant": "batch", "algorithm": "strassen"}


def product_shape(op: str, a: np.ndarray, b: np.ndarray) -> tuple[int, ...]:
    """The shape of a @ b; ShapeError if there is none."""
    if a.ndim == 0 or b.ndim == 0:
        raise ShapeError(
            f"{op}: arguments of shapes {a.shape} and {b.shape}, want at least 1-D ones"
        )
    inner = b.shape[-2] if b.ndim > 1 else b.shape[0]
    if a.shape[-1] != inner:
        raise ShapeError(
            f"{op}: argument a has shape {a.shape}, b {b.shape}: want the last dimension of a"
            f" ({a.shape[-1]}) to be b's {'last but one' if b.ndim > 1 else 'only one'} ({inner})"
        )
    try:
        batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    except ValueError:
        raise ShapeError(
            f"{op}: argument a has shape {a.shape}, b {b.shape}: the leading dimensions do not"
            " broadcast"
        ) from None
    rows = a.shape[-2:-1]  # () for a vector
    columns = b.shape[-1:] if b.ndim > 1 else ()
    return (*batch, *rows, *columns)


def _matmul_shape(
    a: np.ndarray, b: np.ndarray, invariant: str | None = None, algorithm: str | None = None
) -> Plan:
    options = _chosen("matmul", invariant=invariant, algorithm=algorithm)
    if len(options) > 1:
        raise ArgumentError(
            "matmul: algorithm 'strassen' mixes rows, so invariant='batch' cannot be kept"
        )
    dtype = checks.same_dtype("matmul", checks.NUMBERS, a=a, b=b)
    return Plan((Out(product_shape("matmul", a, b), dtype),), (a, b), options)


def linear_out(name: str, x: np.ndarray, w: np.ndarray, bias: np.ndarray | None) -> Out:
    """The output of x[..., K] @ w[N, K]^T + bias[N], after checking the three."""
    dtype = checks.same_dtype(name, checks.NUMBERS, x=x, w=w, bias=bias)
    checks.rank(name, "w", w, "N, K")
    if x.ndim == 0 or x.shape[-1] != w.shape[1]:
        raise ShapeError(
            f"{name}: argument x has shape {x.shape}, want [..., {w.shape[1]}] for w {w.shape}"
        )
    if bias is not None:
        checks.shape(name, "bias", bias, w.shape[:1])
    return Out((*x.shape[:-1], w.shape[0]), dtype)


def _linear_shape(
    x: np.ndarray, w: np.ndarray, bias: np.ndarray | None, invariant: str | None = None
) -> Plan:
    options = _chosen("linear", invariant=invariant)
    return Plan((linear_out("linear", x, w, bias),), (x, w, bias), options)


# --- gradients ---------------------------------------------------------------------------------


def transposed(x: Any) -> Any:
    """The last two dimensions swapped."""
    n = len(x.shape)
    return permute(x, dims=(*range(n - 2), n - 1, n - 2))


def _matmul_vjp(saved: Any, g: Any) -> tuple[Any, ...]:
    a_shape, b_shape = saved.inputs[0].shape, saved.inputs[1].shape
    k = a_shape[-1]
    # A vector is a matrix of one row (a) or one column (b) whose dimension is dropped from y.
    a_matrix = (1, k) if len(a_shape) == 1 else a_shape
    b_matrix = (k, 1) if len(b_shape) == 1 else b_shape
    m, n = a_matrix[-2], b_matrix[-1]
    batch = np.broadcast_shapes(a_matrix[:-2], b_matrix[:-2])
    g = reshape(g, shape=(*batch, m, n))
    da = db = None
    if saved.needs[0]:
        b = reshape(saved.b, shape=b_matrix)
        da = sum_to_shape(matmul(g, transposed(b), **saved.options), a_matrix)
        da = reshape(da, shape=a_shape)
    if saved.needs[1]:
        a = reshape(saved.a, shape=a_matrix)
        if len(b_matrix) == 2:  # one product over all rows instead of a sum of products
            rows = math.prod(batch) * m
            a, g = reshape(a, shape=(rows, k)), reshape(g, shape=(rows, n))
        db = sum_to_shape(matmul(transposed(a), g, **saved.options), b_matrix)
        db = reshape(db, shape=b_shape)
    return da, db


def _linear_vjp(saved: Any, g: Any) -> tuple[Any, ...]:
    n, k = saved.inputs[1].shape
    rows = math.prod(saved.inputs[0].shape[:-1])
    flat = reshape(g, shape=(rows, n))
    dx = dw = db = None
    if saved.needs[0]:
        dx = matmul(g, saved.w, **saved.options)
    if saved.needs[1]:
        dw = matmul(transposed(flat), reshape(saved.x, shape=(rows, k)))
    if saved.needs[2]:
        db = OPS["sum"](flat, dim=(0,), keepdim=False)
    return dx, dw, db


# --- for the checker and the benchmark ---------------------------------------------------------


def _matmul_cost(a: np.ndarray, b: np.ndarray, **options: str) -> Cost:
    (y,) = _matmul_shape(a, b).outputs
    size = math.prod(y.shape)
    return Cost(2.0 * size * a.shape[-1], a.nbytes + b.nbytes + size * y.dtype.itemsize)


def _linear_cost(
    x: np.ndarray, w: np.ndarray, bias: np.ndarray | None = None, **options: str
) -> Cost:
    rows, (n, k) = math.prod(x.shape[:-1]), w.shape
    moved = x.nbytes + w.nbytes + rows * n * x.itemsize + (0 if bias is None else bias.nbytes)
    return Cost(2.0 * rows * n * k + (0 if bias is None else rows * n), moved)


def _matmul_terms(a: np.ndarray, b: np.ndarray, **options: str) -> int:
    return a.shape[-1]


def _linear_terms(
    x: np.ndarray, w: np.ndarray, bias: np.ndarray | None = None, **options: str
) -> int:
    return w.shape[1] + (bias is not None)


def zeros(*shape: int, dtype: Any = np.float32) -> np.ndarray:
    """What a bad call is made of."""
    return np.zeros(shape, dtype)


MATMUL_SAMPLES = (
    *(
        Sample(f"{m}x{k}x{n}", ((m, k), (k, n)))
        # tails of register tiles (up to 32 wide), sums short enough to show lost mantissa bits,
        # and sums longer than a cache block, of bfloat16 too
        for m, k, n in [
            (1, 1, 1), (1, 8, 1), (3, 5, 7), (8, 8, 8), (13, 31, 17), (31, 32, 33), (32, 16, 64),
            (65, 32, 49), (1, 32, 100), (100, 32, 1), (2, 1, 3), (0, 3, 4), (3, 0, 4), (3, 4, 0),
            (17, 1040, 19), (130, 33, 129), (15, 2101, 34),
            (3, 37, 130), (130, 37, 3), (1, 700, 9),  # few rows, of enough work for their kernels
        ]
    ),
    Sample("dot", ((37,), (37,))),
    Sample("dot empty", ((0,), (0,))),
    Sample("vector-matrix", ((19,), (19, 33))),
    Sample("matrix-vector", ((33, 19), (19,))),
    Sample("vector-batch", ((5,), (2, 5, 3))),
    Sample("batch-vector", ((2, 3, 4, 5), (5,))),
    Sample("batch", ((3, 9, 17), (3, 17, 21))),
    Sample("batch times one", ((3, 9, 17), (17, 21))),
    Sample("one times batch", ((9, 17), (3, 17, 21))),
    Sample("broadcast", ((4, 1, 5, 6), (3, 6, 7))),
    Sample("broadcast one", ((1, 5, 6), (3, 6, 7))),
    Sample("empty batch", ((0, 5, 6), (6, 7))),
    # the ways of a product: rows of b that share a set of L1, panels that begin at lines, a block
    # of a larger than L2 (a b from memory takes seconds to judge: tests/test_matmul.py)
    Sample("rows apart", ((11, 70), (70, 1024))),
    Sample("panels at lines", ((7, 520), (520, 528))),
    Sample("a beyond L2", ((400, 340), (340, 33))),
    Sample("256", ((256, 256), (256, 256)), bench=True),
    Sample("1024", ((1024, 1024), (1024, 1024)), bench=True),
    Sample("8", ((8, 8), (8, 8)), bench=True),
    Sample("attention scores", ((8, 12, 128, 64), (8, 12, 64, 128)), bench=True),
    Sample("skinny", ((4096, 64), (64, 64)), bench=True),
    Sample("matrix-vector 2048", ((2048, 2048), (2048,)), bench=True),
    *(
        Sample(f"rows alike {a} {b}", (a, b), {"invariant": "batch"})
        for a, b in [
            ((1, 1), (1, 1)), ((3, 37), (37, 130)), ((3, 700), (700, 9)), ((130, 37), (37, 3)),
            ((31, 32), (32, 33)), ((19,), (19, 33)), ((2, 9, 17), (17, 40)), ((0, 3), (3, 4)),
        ]
    ),
    *SAMPLES,
)  # fmt: skip

matmul = op(
    name="matmul",
    family="matmul",
    signature="a[...,M,K], b[...,K,N]; invariant, algorithm -> y[...,M,N]",
    shape=_matmul_shape,
    reference=reference.matmul,
    vjp=_matmul_vjp,
    saves={"a": (1,), "b": (0,)},
    cost=_matmul_cost,
    terms=_matmul_terms,
    bound=accumulated,
    bounds={"strassen": strassen},
    plain=True,
    samples=MATMUL_SAMPLES,
    edges=matmul_edges,
    bad_inputs=(
        *BAD_INPUTS,
        BadInput(
            "invariant", lambda: ((zeros(2, 2), zeros(2, 2)), {"invariant": "x"}), ArgumentError
        ),
        BadInput("inner sizes differ", lambda: ((zeros(2, 3), zeros(4, 5)), {}), ShapeError),
        BadInput("vector too short", lambda: ((zeros(2, 3), zeros(2)), {}), ShapeError),
        BadInput("0-d", lambda: ((zeros(), zeros(2, 2)), {}), ShapeError),
        BadInput("batches", lambda: ((zeros(2, 3, 3), zeros(4, 3, 3)), {}), ShapeError),
        BadInput("dtypes", lambda: ((zeros(2, 2), zeros(2, 2, dtype="f8")), {}), DTypeError),
        BadInput("object", lambda: ((zeros(2, 2, dtype="O"), zeros(2, 2)), {}), DTypeError),
        BadInput("complex", lambda: ((zeros(2, 2, dtype="c8"),) * 2, {}), DTypeError),
        BadInput("bool", lambda: ((zeros(2, 2, dtype="?"),) * 2, {}), DTypeError),
        BadInput("list", lambda: (([[1.0]], zeros(1, 1)), {}), DTypeError),
        BadInput("None", lambda: ((zeros(1, 1), None), {}), DTypeError),
        BadInput(
            "out shape",
            lambda: ((zeros(2, 2), zeros(2, 2)), {"out": zeros(2, 3)}),
            ShapeError,
        ),
        BadInput(
            "out dtype",
            lambda: ((zeros(2, 2), zeros(2, 2)), {"out": zeros(2, 2, dtype="f8")}),
            DTypeError,
        ),
    ),
)

linear = op(
    name="linear",
    family="matmul",
    signature="x[...,K], w[N,K], bias?[N]; invariant -> y[...,N]",
    shape=_linear_shape,
    reference=reference.linear,
    vjp=_linear_vjp,
    saves={"x": (1,), "w": (0,)},
    cost=_linear_cost,
    terms=_linear_terms,
    bound=accumulated,
    plain=True,
    samples=(
        *(
            Sample(f"{rows}x{k}x{n}", ((rows, k), (n, k), (n,)))
            for rows, k, n in [
                (1, 1, 1), (3, 5, 7), (8, 32, 10), (31, 32, 33), (0, 3, 4), (3, 0, 4), (64, 16, 1),
                (17, 1040, 19), (3, 37, 130), (7, 130, 21), (1, 700, 9), (7, 19, 300),
            ]
        ),
        Sample("no bias", ((9, 17), (11, 17), None)),
        Sample("vector", ((17,), (11, 17), (11,))),
        Sample("3-D", ((2, 5, 17), (11, 17), (11,))),
        *(
            Sample(f"rows alike {rows}x{k}x{n}", ((rows, k), (n, k), (n,)), {"invariant": "batch"})
            for rows, k, n in [(1, 1, 1), (1, 32, 129), (7, 500, 21), (33, 19, 3), (3, 1040, 9)]
        ),
        Sample("digits head", ((64, 400), (120, 400), (120,)), bench=True),
        Sample("transformer", ((512, 768), (3072, 768), (3072,)), bench=True),
    ),
    bad_inputs=(
        BadInput("inner", lambda: ((zeros(2, 3), zeros(4, 5)), {}), ShapeError),
        BadInput("0-d", lambda: ((zeros(), zeros(4, 5)), {}), ShapeError),
        BadInput(
            "invariant", lambda: ((zeros(2, 3), zeros(4, 3)), {"invariant": True}), ArgumentError
        ),
        BadInput("weight 3-D", lambda: ((zeros(2, 3), zeros(1, 4, 3)), {}), ShapeError),
        BadInput("bias", lambda: ((zeros(2, 3), zeros(4, 3), zeros(3)), {}), ShapeError),
        BadInput(
            "bias dtype",
            lambda: ((zeros(2, 3), zeros(4, 3), zeros(4, dtype="f8")), {}),
            DTypeError,
        ),
        BadInput("list", lambda: ((zeros(2, 3), [[1.0, 2.0, 3.0]]), {}), DTypeError),
    ),
)  # fmt: skip
