"""Elementwise functions, reductions, shapes and classification, here and in torch.

Single operations and selections have the same bits (`agreement.py`); elementary functions are
measured in ULP against torch in float64.
"""

import numpy as np
import pytest
from product_agreement import FLOATS, UNIT, check_products, draw, ours, same, theirs, within

import fastdl
import fastdl.functional as F

torch = pytest.importorskip("torch")
TF = torch.nn.functional


# --- elementwise -------------------------------------------------------------------------------

ODD = [0.0, -0.0, 1.0, -2.5, np.inf, -np.inf, np.nan, 1e-42, 3e38]
OPERANDS = [((5,), (5,)), ((3, 4), (4,)), ((3, 1), (1, 4)), ((2, 3, 4, 5), (3, 1, 1)), ((), (3,)),
            ((0, 3), (3,)), ((), ()), ((2, 3), (4,))]  # fmt: skip
DTYPES = ["float32", "float64", "float16", "int64", "int32", "uint8", "bool"]


def numbers(rng, shape, dtype):
    if dtype == "bool":
        return rng.random(shape) < 0.5 if shape else np.array(rng.random() < 0.5)
    if dtype.startswith("float"):
        a = draw(rng, shape, dtype)
        with np.errstate(over="ignore"):
            return np.where(rng.random(shape) < 0.2, rng.choice(ODD, shape), a).astype(dtype)
    return np.asarray(rng.integers(0 if dtype == "uint8" else -50, 50, shape)).astype(dtype)


def outcome(function, *arguments, **options):
    """The result as an array, or None for a refusal."""
    try:
        with np.errstate(all="ignore"):
            y = function(*arguments, **options)
    except (RuntimeError, TypeError, ValueError, NotImplementedError, IndexError, AttributeError):
        return None
    return np.asarray(y)


def tensor(x):
    return torch.from_numpy(x) if isinstance(x, np.ndarray) else x


def same_outcome(mine, torchs, *arguments, **options):
    want = outcome(torchs, *map(tensor, arguments), **options)
    if want is None:
        with pytest.raises(fastdl.errors.FastdlError):
            mine(*arguments, **options)
    else:
        same(mine(*arguments, **options), want)


@pytest.mark.filterwarnings("ignore::fastdl.core.errors.FallbackWarning")  # float16
@pytest.mark.parametrize("name", ["add", "sub", "mul", "div", "eq", "ne", "lt", "le", "gt", "ge"])
@pytest.mark.parametrize("a", DTYPES)
def test_two_operands(name, a):
    rng = np.random.default_rng(len(name))
    mine, torchs = getattr(F, name), getattr(torch, name)
    for b in DTYPES:
        for shapes in OPERANDS:
            x, y = (numbers(rng, s, d) for s, d in zip(shapes, (a, b), strict=True))
            same_outcome(mine, torchs, x, y)
    for scalar in (2, -3, 2.5, 0, True, float("inf")):
        same_outcome(mine, torchs, numbers(rng, (3, 5), a), scalar)


@pytest.mark.parametrize("name", ["add", "sub"])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int64"])
@pytest.mark.parametrize("alpha", [1, 2, -3, 0.5])
def test_alpha(name, dtype, alpha):
    rng = np.random.default_rng(0)
    # products of whole numbers are exact, so it does not matter that torch fuses them with the sum
    x, y = (np.round(10 * draw(rng, (4, 5), "float64")).astype(dtype) for _ in range(2))
    same_outcome(getattr(F, name), getattr(torch, name), x, y, alpha=alpha)
    same_outcome(getattr(F, name), getattr(torch, name), x, 3, alpha=alpha)


@pytest.mark.parametrize("name", ["add", "sub", "mul", "div"])
@pytest.mark.parametrize("shapes", OPERANDS[:-1])
@pytest.mark.parametrize("dtype", FLOATS)
def test_two_operands_backward(name, shapes, dtype):
    rng = np.random.default_rng(len(name))
    arrays = [draw(rng, s, dtype) for s in shapes]
    upstream = draw(rng, np.broadcast_shapes(*shapes), dtype)
    _, got = ours(getattr(F, name), arrays, upstream)
    _, want = theirs(getattr(torch, name), arrays, upstream)
    wide = [np.asarray(np.abs(a.astype(np.float64))) for a in (*arrays, upstream)]
    _, sizes = theirs(getattr(torch, name), wide[:2], wide[2])
    for g, w, size in zip(got, want, sizes, strict=True):
        # at most three products or quotients a term, then their sum over what was broadcast
        n = (3 + upstream.size / max(g.size, 1)) * UNIT[dtype]
        within(g, w, 2 * n / (1 - n) * np.abs(size) + upstream.size * np.finfo(dtype).tiny)


@pytest.mark.parametrize("name", ["exp", "log", "tanh", "sigmoid", "erf", "relu", "neg"])
@pytest.mark.parametrize("dtype", [*FLOATS, "int64", "uint8"])
def test_one_operand(name, dtype):
    rng = np.random.default_rng(len(name))
    mine, torchs = getattr(F, name), getattr(torch, name)
    for x in (numbers(rng, (7, 9), dtype), numbers(rng, (), dtype), numbers(rng, (0, 3), dtype)):
        if name in ("relu", "neg"):
            same(mine(x), torchs(torch.from_numpy(x)).numpy())
            continue
        got, want = mine(x), torchs(torch.from_numpy(x).double()).numpy()
        assert got.dtype == torchs(torch.from_numpy(x)).numpy().dtype
        with np.errstate(all="ignore"):
            # ours is within 2 ULP of the truth and torch's float64 within 1 of its own
            spacing = np.spacing(np.abs(want.astype(got.dtype)))
        where = np.isfinite(want.astype(got.dtype))
        same(got[~where], want.astype(got.dtype)[~where])
        within(got[where], want.astype(got.dtype)[where], 3 * spacing[where])


@pytest.mark.parametrize("name", ["exp", "log", "tanh", "sigmoid", "relu", "neg"])
@pytest.mark.parametrize("dtype", FLOATS)
def test_one_operand_backward(name, dtype):
    rng = np.random.default_rng(len(name))
    x, g = np.abs(draw(rng, (7, 9), dtype)) + 0.01, draw(rng, (7, 9), dtype)
    x = (
        x.astype(dtype)
        if name == "log"
        else x.astype(dtype) * rng.choice([-1, 1], x.shape).astype(dtype)
    )
    _, (got,) = ours(getattr(F, name), [x], g)
    _, (want,) = theirs(getattr(torch, name), [x.astype(np.float64)], g.astype(np.float64))
    # y is off by 2 ULP, 4u·|y|; 1 − y² and y·(1 − y) then by less than 16u of at most 1 and y, with
    # the roundings of two products on top; all of it is multiplied by g
    y = ours(getattr(F, name), [x])[0]
    scale = {"exp": y, "log": 1 / x, "sigmoid": y}.get(name, np.ones_like(x))
    within(got, want.astype(dtype), 16 * UNIT[dtype] * np.abs(g * scale).astype(np.float64))


def test_where():
    rng = np.random.default_rng(0)
    for a in DTYPES:
        for b in DTYPES:
            for shapes in OPERANDS[:-1]:
                x, y = (numbers(rng, s, d) for s, d in zip(shapes, (a, b), strict=True))
                mask = numbers(rng, np.broadcast_shapes(*shapes), "bool")
                with fastdl.use_backend("reference"):
                    same_outcome(F.where, torch.where, mask, x, y)
    arrays = [rng.random((3, 4)) < 0.5, draw(rng, (3, 4), "float64"), draw(rng, (3, 1), "float64")]
    check_products(F.where, torch.where, arrays)


def test_relu_in_place():
    x = np.array([-1.0, 0.0, 2.0], np.float32)
    assert F.relu(x, inplace=True) is x
    same(x, np.array([0.0, 0.0, 2.0], np.float32))
    t = fastdl.Tensor(np.array([-1.0, 2.0], np.float32))
    assert F.relu(t, True) is t
    same(t.numpy(), np.array([0.0, 2.0], np.float32))


# --- reductions --------------------------------------------------------------------------------

REDUCED = [((5,), 0), ((3, 4), None), ((3, 4), (0, 1)), ((3, 4), -1), ((2, 3, 4, 5), (0, 2, 3)),
           ((2, 3, 4, 5), (1, -1)), ((), None), ((), 0), ((), -1), ((0, 3), 0), ((0, 3), 1),
           ((0, 3), None), ((3, 4), 2), ((3, 4), (0, 0)), ((2, 300), 1), ((3, 4), ())]  # fmt: skip


@pytest.mark.parametrize("shape,dim", REDUCED)
@pytest.mark.parametrize("keepdim", [False, True])
@pytest.mark.parametrize("name", ["sum", "mean", "amax", "max", "argmax"])
@pytest.mark.parametrize("dtype", [*FLOATS, "int64", "int32", "uint8", "bool"])
def test_reductions(name, shape, dim, keepdim, dtype):
    if (name in ("max", "argmax") and isinstance(dim, tuple)) or (dim is None and keepdim):
        pytest.skip("torch takes one dim, and keepdim only with a dim")
    rng = np.random.default_rng(len(shape))
    x = draw(rng, shape, dtype) if dtype in FLOATS else numbers(rng, shape, dtype)
    mine, torchs = getattr(F, name), getattr(torch, name)
    options = {} if dim is None else {"dim": dim, "keepdim": keepdim}
    try:
        want = torchs(torch.from_numpy(x), **options)
    except (RuntimeError, IndexError, NotImplementedError):
        with pytest.raises(fastdl.errors.FastdlError):
            mine(x, **options)
        return
    if name in ("sum", "mean") and dtype in FLOATS:
        n = x.size + 1  # terms of a sum, and the division of a mean
        check_products(mine, torchs, [x], counting=options, extra=n, **options)
    elif name == "max" and dim is not None:
        got = mine(x, **options)
        same(got.values, want.values.numpy())
        same(got.indices, want.indices.numpy())
    else:
        same(np.asarray(mine(x, **options)), want.numpy())


@pytest.mark.parametrize("shape,dim", [((7,), 0), ((4, 5), 1), ((4, 5), 0), ((3, 4, 5), 1)])
@pytest.mark.parametrize("name", ["amax", "max", "argmax"])
@pytest.mark.parametrize("ties", [False, True])
def test_maxima(name, shape, dim, ties):
    rng = np.random.default_rng(len(shape))
    x = rng.choice([0.0, -0.0, 1.0, np.nan], shape) if ties else draw(rng, shape, "float64")
    for a in (x, np.where(np.isnan(x), 0.5, x)):
        got, want = getattr(F, name)(a, dim=dim), getattr(torch, name)(torch.from_numpy(a), dim=dim)
        if name == "max":
            same(got.values, want.values.numpy())
            same(got.indices, want.indices.numpy())
        else:
            same(got, want.numpy())
    if name == "argmax" or np.isnan(x).any():
        return

    def values(function):
        return (
            (lambda t: function(t, dim=dim).values) if name == "max" else lambda t: function(t, dim)
        )

    upstream = draw(rng, want.values.shape if name == "max" else want.shape, "float64")
    _, (got,) = ours(values(getattr(F, name)), [x], upstream)
    _, (want,) = theirs(values(getattr(torch, name)), [x], upstream)
    same(got, want)


@pytest.mark.parametrize("name", ["sum", "mean"])
@pytest.mark.parametrize("dtype", ["float64", "float32", "int64"])
def test_dtype_of_reductions(name, dtype):
    x = np.arange(12, dtype=np.int32).reshape(3, 4)
    torch_dtype = getattr(torch, dtype)

    def mine(a):
        return getattr(F, name)(a, 1, dtype=dtype)

    def torchs(a):
        return getattr(torch, name)(a, 1, dtype=torch_dtype)

    if name == "mean" and dtype == "int64":
        with pytest.raises(fastdl.errors.DTypeError):
            mine(x)
        return
    same(mine(x), torchs(torch.from_numpy(x)).numpy())


# --- shapes ------------------------------------------------------------------------------------

SHAPED = [
    ("reshape", (2, 6), ((3, 4),)), ("reshape", (2, 6), ((-1,),)), ("reshape", (0, 3), ((3, 0),)),
    ("reshape", (2, 6), ((5, 2),)), ("reshape", (0, 3), ((-1, 0),)), ("reshape", (), ((1, 1),)),
    ("transpose", (2, 3, 4), (0, 2)), ("transpose", (2, 3, 4), (-1, 1)), ("transpose", (), (0, -1)),
    ("transpose", (2, 3), (0, 2)), ("permute", (2, 3, 4), ((2, 0, 1),)),
    ("permute", (2, 3), ((0, -1),)), ("permute", (2, 3), ((0, 0),)), ("permute", (2, 3), ((0,),)),
    ("permute", (), ((),)), ("flatten", (2, 3, 4), ()), ("flatten", (2, 3, 4), (1,)),
    ("flatten", (2, 3, 4), (0, 1)), ("flatten", (2, 3, 4), (-2, -1)),
    ("flatten", (2, 3, 4), (2, 1)), ("flatten", (), ()), ("flatten", (0, 3), ()),
    ("flatten", (2, 3), (0, 2)),
]  # fmt: skip


@pytest.mark.parametrize("name,shape,arguments", SHAPED)
def test_shapes(name, shape, arguments):
    x = draw(np.random.default_rng(0), shape, "float32")
    mine, torchs = getattr(F, name), getattr(torch, name)
    want = outcome(lambda t: torchs(t, *arguments), torch.from_numpy(x))
    if want is None:
        with pytest.raises(fastdl.errors.FastdlError):
            mine(x, *arguments)
        return
    same(mine(x, *arguments), want)
    g = draw(np.random.default_rng(1), want.shape, "float32")
    got = ours(lambda t: mine(t, *arguments), [x], g)[1][0]
    same(got, theirs(lambda t: torchs(t, *arguments), [x], g)[1][0])


@pytest.mark.parametrize(
    "shapes,dim",
    [
        ([(2, 3), (4, 3)], 0), ([(2, 3), (2, 1)], 1), ([(2, 3), (2, 1)], -1), ([(2, 3), (0,)], 0),
        ([(3,), (0,)], 0), ([(2, 3)], 0), ([(2, 3), (2, 4)], 0), ([(2, 3), (2,)], 0), ([(2, 3)], 2),
        ([(0, 3), (2, 3)], 0), ([(), ()], 0),
    ],
)  # fmt: skip
@pytest.mark.parametrize(
    "dtypes", [("float32", "float32"), ("float32", "int64"), ("bool", "uint8")]
)
def test_cat(shapes, dim, dtypes):
    rng = np.random.default_rng(0)
    arrays = [numbers(rng, s, d) for s, d in zip(shapes, dtypes, strict=False)]
    want = outcome(lambda: torch.cat([torch.from_numpy(a) for a in arrays], dim))
    if want is None:
        with pytest.raises(fastdl.errors.FastdlError):
            F.cat(arrays, dim)
        return
    same(F.cat(arrays, dim), want)


# --- classification ----------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(
    "shape,dim", [((5,), 0), ((4, 7), 1), ((4, 7), 0), ((2, 3, 4), -2), ((0, 3), 1)]
)
@pytest.mark.parametrize("scale", [1, 100])
def test_log_softmax(shape, dim, scale, dtype):
    rng = np.random.default_rng(len(shape))
    x, g = draw(rng, shape, dtype) * np.dtype(dtype).type(scale), draw(rng, shape, dtype)
    got = ours(F.log_softmax, [x], g, dim=dim)
    want = theirs(TF.log_softmax, [x.astype(np.float64)], g.astype(np.float64), dim=dim)
    classes, unit = shape[dim], UNIT[dtype]
    # x − max is rounded once; its error moves the logarithm of the sum of `classes` exponentials,
    # each within 2 ULP, by as much again, and the result is rounded
    spread = 2 * np.abs(x.astype(np.float64)).max(axis=dim, keepdims=True, initial=0)
    error = (4 * spread + 2 * (classes + 8) + 4 * np.log(classes)) * unit
    within(got[0], want[0].astype(dtype), np.broadcast_to(2 * error, shape))
    # dx = g − e^y Σg: y's error is relative to e^y, and Σ|g| takes `classes` roundings
    total = np.abs(g.astype(np.float64)).sum(axis=dim, keepdims=True)
    p = np.exp(want[0])
    slope = p * total * (error + (classes + 8) * unit) + 2 * unit * (np.abs(g) + p * total)
    within(got[1][0], want[1][0].astype(dtype), 2 * slope)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("shape", [(5,), (6, 5), (2, 5, 3), (2, 5, 3, 4), (0, 5)])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
def test_cross_entropy(shape, weighted, smoothing, reduction, dtype):
    rng = np.random.default_rng(len(shape))
    x = draw(rng, shape, dtype)
    classes = shape[min(1, len(shape) - 1)]
    places = shape[:1] + shape[2:] if len(shape) > 1 else ()
    target = np.asarray(rng.integers(0, classes, places))
    if target.size > 2:
        target.flat[::3] = 7 - 10  # the index to ignore
    weight = np.abs(draw(rng, (classes,), dtype)) + np.dtype(dtype).type(0.1) if weighted else None
    options = {"reduction": reduction, "label_smoothing": smoothing, "ignore_index": -3}
    wide = None if weight is None else torch.from_numpy(weight.astype(np.float64))
    upstream = draw(rng, places if reduction == "none" else (), dtype)
    got = ours(lambda t: F.cross_entropy(t, target, weight, **options), [x], upstream)
    want = theirs(
        lambda t: TF.cross_entropy(t, torch.from_numpy(target), wide, **options),
        [x.astype(np.float64)],
        upstream.astype(np.float64),
    )
    # log p is off by `point` (see test_log_softmax, with |x| < 6); a place's loss sums `classes`
    # products of it with weights, and the mean is a quotient of sums over `size` places
    size, unit = max(target.size, 1), UNIT[dtype]
    point = (24 + 2 * (classes + 8) + 4 * np.log(classes)) * unit
    largest = 1.0 if weight is None else float(weight.max())
    logs = float(np.abs(theirs(TF.log_softmax, [x], dim=min(1, x.ndim - 1))[0]).max(initial=0))
    place = largest * (point + (classes + 5) * unit * logs)
    share = {"none": 1, "sum": size, "mean": 1}[reduction]
    kept = (target != -3).astype(np.float64)
    total = (kept if weight is None else kept * weight[target]).sum()
    # the mean's divisor may be much smaller than its largest weight
    scale = size / total if reduction == "mean" and total else 1
    error = scale * share * (place + size * unit * largest * logs)
    within(got[0], want[0].astype(dtype), np.broadcast_to(2 * error, got[0].shape))
    slope = scale / (size if reduction == "mean" else 1) * largest * (2 * point + (size + 9) * unit)
    bound = 2 * slope * np.abs(upstream).max(initial=0)
    within(got[1][0], want[1][0].astype(dtype), np.broadcast_to(bound, shape))


def test_cross_entropy_of_probabilities():
    rng = np.random.default_rng(0)
    x, p = draw(rng, (4, 5), "float64"), rng.dirichlet(np.ones(5), 4)
    got = ours(lambda t: F.cross_entropy(t, p, label_smoothing=0.1), [x], np.ones(()))
    want = theirs(
        lambda t: TF.cross_entropy(t, torch.from_numpy(p), label_smoothing=0.1), [x], np.ones(())
    )
    # twenty products of numbers below 6 in a sum, after logarithms of sums of five
    for a, b in ((got[0], want[0]), (got[1][0], want[1][0])):
        within(a, b, np.broadcast_to(200 * UNIT["float64"], a.shape))


def test_what_is_no_array_is_refused():
    x = np.zeros((2, 3), np.float32)
    calls = [
        lambda: F.flatten([1.0]), lambda: F.transpose([[1.0]], 0, 1), lambda: F.cat(x),
        lambda: F.cat([x, [1.0]]), lambda: F.relu([1.0], inplace=True), lambda: F.add(x, [1.0]),
        lambda: F.add(x, x, alpha="2"), lambda: F.add(x, [1.0], alpha=2), lambda: F.sum([1.0]),
        lambda: F.matmul(x, None), lambda: F.log_softmax([1.0], 0), lambda: F.reshape([1.0], (1,)),
    ]  # fmt: skip
    for call in calls:
        with pytest.raises(fastdl.errors.DTypeError):
            call()
    with pytest.raises(fastdl.errors.ArgumentError):
        F.max(x, x, keepdim=True)
    with pytest.raises(fastdl.errors.ArgumentError):
        F.div(x, 2.0, rounding_mode="up")
    with pytest.raises(fastdl.errors.ArgumentError):
        F.log_softmax(x)
