"""Views, parts and arrays put together agree with torch, gradients too, over random shapes."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from agreement import CONFIGS  # noqa: E402
from shape_agreement import compare, sizes, whole  # noqa: E402

import fastdl  # noqa: E402
import fastdl.functional as F  # noqa: E402
from fastdl import errors  # noqa: E402


def dim_of(rng, shape, extra=0):
    n = max(len(shape) + extra, 1)
    return int(rng.integers(-n, n))


def some_dims(rng, shape):
    """Distinct dims, some of them counted from the end."""
    chosen = rng.choice(len(shape), rng.integers(0, len(shape) + 1), replace=False)
    return tuple(int(d) - len(shape) * int(rng.integers(2)) for d in chosen)


def cut(rng, n):
    """Sizes that sum to n."""
    parts = rng.integers(1, 4)
    ends = sorted(int(i) for i in rng.integers(0, n + 1, parts - 1))
    return [b - a for a, b in zip([0, *ends], [*ends, n], strict=True)]


def case_squeeze(rng):
    shape = tuple(int(n) for n in rng.integers(0, 3, rng.integers(0, 5)))
    dims = some_dims(rng, shape) if shape else 0
    which = rng.integers(3)
    if which == 0:
        return (lambda lib, x: lib.squeeze(x)), [shape]
    if which == 1 or not shape:
        d = dim_of(rng, shape)
        return (lambda lib, x: lib.squeeze(x, d)), [shape]
    return (lambda lib, x: lib.squeeze(x, dims)), [shape]


def case_unsqueeze(rng):
    shape = sizes(rng)
    d = dim_of(rng, shape, 1)
    return (lambda lib, x: lib.unsqueeze(x, d)), [shape]


def case_unflatten(rng):
    shape = sizes(rng, 1)
    d = dim_of(rng, shape)
    n = int(np.prod(rng.integers(1, 4, 2)))
    shape = tuple(n if i == d % len(shape) else m for i, m in enumerate(shape))
    factor = next(k for k in (3, 2, 1) if n % k == 0)
    to = [(factor, n // factor), (-1, factor), (n, 1, -1)][rng.integers(3)]
    return (lambda lib, x: lib.unflatten(x, d, to)), [shape]


def case_movedim(rng):
    shape = sizes(rng, 1)
    one = some_dims(rng, shape)
    other = tuple(int(d) for d in rng.permutation(len(shape))[: len(one)])
    if rng.random() < 0.3:
        a, b = dim_of(rng, shape), dim_of(rng, shape)
        return (lambda lib, x: (lib.movedim(x, a, b), lib.swapaxes(x, a, b))), [shape]
    return (lambda lib, x: (lib.movedim(x, one, other), lib.moveaxis(x, one, other))), [shape]


def case_broadcast_to(rng):
    shape = tuple(int(n) for n in rng.integers(1, 3, rng.integers(0, 4)))
    wide = tuple(n if n > 1 else int(rng.integers(0, 4)) for n in shape)
    wide = (*(int(n) for n in rng.integers(0, 3, rng.integers(0, 3))), *wide)
    return (lambda lib, x: (lib.broadcast_to(x, wide), *lib.broadcast_tensors(x, x[None]))), [shape]


def case_split(rng):
    shape = sizes(rng, 1)
    d = dim_of(rng, shape)
    n = shape[d]
    if rng.random() < 0.5:
        size = int(rng.integers(1, n + 2))
        return (lambda lib, x: lib.split(x, size, d)), [shape]
    parts = cut(rng, n)
    return (lambda lib, x: lib.split(x, parts, dim=d)), [shape]


def case_chunk(rng):
    shape = sizes(rng, 1, high=8)
    d, count = dim_of(rng, shape), int(rng.integers(1, 6))
    at = sorted(int(i) for i in rng.integers(0, 9, 2))
    return (
        lambda lib, x: (
            lib.chunk(x, count, d),
            lib.tensor_split(x, count, d),
            lib.tensor_split(x, at, d),
        )
    ), [shape]


def case_unbind(rng):
    shape = sizes(rng, 1)
    d = dim_of(rng, shape)
    return (lambda lib, x: lib.unbind(x, d)), [shape]


def case_narrow(rng):
    shape = tuple(n + 1 for n in sizes(rng, 1))
    d = dim_of(rng, shape)
    start = int(rng.integers(0, shape[d]))
    length = int(rng.integers(0, shape[d] - start + 1))
    if rng.random() < 0.3:
        start -= shape[d]
    i = int(rng.integers(-shape[d], shape[d]))
    return (lambda lib, x: (lib.narrow(x, d, start, length), lib.select(x, d, i))), [shape]


def case_stack(rng):
    shape = sizes(rng)
    d = dim_of(rng, shape, 1)
    return (lambda lib, *x: lib.stack(x, d)), [shape] * int(rng.integers(1, 4))


def case_stacks(rng):
    shape = sizes(rng, high=4)
    return (
        lambda lib, *x: (
            lib.vstack(x),
            lib.hstack(x),
            lib.dstack(x),
            lib.column_stack(x),
            lib.atleast_1d(*x),
            lib.atleast_2d(*x),
            lib.atleast_3d(*x),
        )
    ), [shape] * int(rng.integers(1, 4))


def case_meshgrid(rng):
    shapes = [sizes(rng, 1, 1) for _ in range(rng.integers(1, 4))]
    indexing = ["ij", "xy"][rng.integers(2)]
    return (lambda lib, *x: lib.meshgrid(*x, indexing=indexing)), shapes


def case_repeat(rng):
    shape = sizes(rng, most=3, high=4)
    times = tuple(int(n) for n in rng.integers(0, 4, len(shape) + rng.integers(0, 3)))
    fewer = times[int(rng.integers(0, len(times) + 1)) :]
    return (lambda lib, x: (lib.tile(x, fewer), lib.tile(x, times))), [shape]


def case_repeat_interleave(rng):
    shape = sizes(rng, 1, 3)
    d = dim_of(rng, shape)
    n = int(rng.integers(0, 4))
    counts = rng.integers(0, 3, shape[d])

    def call(lib, x):
        each = torch.tensor(counts) if lib is torch else counts
        return (
            lib.repeat_interleave(x, n, d),
            lib.repeat_interleave(x, n),
            lib.repeat_interleave(x, each, d),
        )

    return call, [shape]


def case_flip(rng):
    shape = sizes(rng)
    dims = some_dims(rng, shape)
    return (lambda lib, x: lib.flip(x, dims)), [shape]


def case_roll(rng):
    shape = sizes(rng)
    dims = some_dims(rng, shape)
    shifts = tuple(int(s) for s in rng.integers(-9, 9, len(dims)))
    step = int(rng.integers(-9, 9))
    if not dims:
        return (lambda lib, x: lib.roll(x, step)), [shape]
    return (lambda lib, x: (lib.roll(x, shifts, dims), lib.roll(x, step, dims[0]))), [shape]


def case_rot90(rng):
    shape = sizes(rng, 2)
    dims = tuple(int(d) for d in rng.permutation(len(shape))[:2])
    k = int(rng.integers(-5, 5))
    return (lambda lib, x: (lib.rot90(x, k, dims), lib.fliplr(x), lib.flipud(x))), [shape]


def case_triangles(rng):
    shape = sizes(rng, 2, high=7)
    k = int(rng.integers(-6, 7))
    return (lambda lib, x: (lib.tril(x, k), lib.triu(x, diagonal=k))), [shape]


def case_diagonal(rng):
    shape = sizes(rng, 2)
    a, b = (int(d) for d in rng.permutation(len(shape))[:2])
    k = int(rng.integers(-4, 5))
    return (lambda lib, x: lib.diagonal(x, k, a - len(shape), b)), [shape]


def case_diag(rng):
    shape = sizes(rng, 1, 2)
    k = int(rng.integers(-3, 4))
    a, b = (int(d) for d in rng.permutation(len(shape) + 1)[:2])
    return (lambda lib, x: (lib.diag(x, k), lib.diag_embed(x, k, a, b), lib.diag_embed(x))), [shape]


def case_flat(rng):
    shape = sizes(rng)
    return (
        lambda lib, x: (
            lib.ravel(x),
            lib.flatten(x),
            lib.reshape(x, (-1,) if 0 not in shape else shape),
            lib.numel(x),
        )
    ), [shape]


CASES = {name[5:]: case for name, case in list(globals().items()) if name.startswith("case_")}


@pytest.mark.parametrize("name", CASES)
def test_agrees(name):
    for config in range(CONFIGS):
        rng = np.random.default_rng([config, len(name)])
        call, shapes = CASES[name](rng)
        dtype = [np.float64, np.float32, np.int64, np.int32, np.uint8, bool][
            int(rng.integers(6)) if rng.random() < 0.4 else 0
        ]
        compare(call, *(whole(rng, *shape, dtype=dtype) for shape in shapes))


def test_methods():
    """The functions are methods too, with sizes spread."""
    x, t = fastdl.arange(24).reshape(2, 3, 4), torch.arange(24).reshape(2, 3, 4)
    for call in (
        lambda x: x.unsqueeze(1).squeeze(1),
        lambda x: x.repeat(2, 1, 1),
        lambda x: x.tile((2, 2)),
        lambda x: x.flip(0, 1),
        lambda x: x.flip([2]),
        lambda x: x.expand(5, 2, 3, 4),
        lambda x: x[:1].expand_as(x),
        lambda x: x.view_as(x.reshape(6, 4)),
        lambda x: x.reshape_as(x.reshape(4, 6)),
        lambda x: x.broadcast_to(2, 2, 3, 4),
        lambda x: x.split(2, dim=1)[1],
        lambda x: x.chunk(2, -1)[0],
        lambda x: x.unbind(1)[2],
        lambda x: x.narrow(2, 1, 2).select(0, 1),
        lambda x: x.roll(1, 0),
        lambda x: x.tril().triu(-1),
        lambda x: x.diagonal(0, 1, 2),
        lambda x: x.movedim(0, -1).swapaxes(0, 1),
        lambda x: x.unflatten(2, (2, 2)),
        lambda x: x.repeat_interleave(2, dim=1),
    ):
        np.testing.assert_array_equal(call(x).numpy(), call(t).numpy())
    y, u = fastdl.ones(3, 3), torch.ones(3, 3)
    np.testing.assert_array_equal(y.tril_().triu_(-1).numpy(), u.tril_().triu_(-1).numpy())


def test_what_is_a_view():
    x = np.arange(24.0).reshape(2, 3, 4)
    for y in (
        F.unsqueeze(x, 1),
        F.squeeze(x[:1]),
        *F.split(x, 2, 1),
        *F.unbind(x),
        F.narrow(x, 2, 1, 2),
        F.select(x, 1, 0),
        F.movedim(x, 0, 2),
        F.diagonal(x),
        F.unflatten(x, 2, (2, 2)),
        *F.chunk(x, 2, 2),
        F.broadcast_to(x[:1], (5, 3, 4)),
        F.atleast_3d(x[0]),
    ):
        assert np.shares_memory(x, y)
    t = fastdl.zeros(4, 2)
    t.split(2)[1].fill_(1)
    assert t.tolist() == [[0, 0], [0, 0], [1, 1], [1, 1]]


def test_one_node_for_all_parts():
    """Parts share a node, so their gradients are joined, and one that is not used counts zero."""
    x = fastdl.Tensor(np.arange(6.0), requires_grad=True)
    a, b, _ = (x * 1).split([1, 2, 3])
    assert a.grad_fn is b.grad_fn
    (b.sum() * 2 + a.sum()).backward()
    assert x.grad.tolist() == [1, 2, 2, 0, 0, 0]


@pytest.mark.parametrize(
    "call, error",
    [
        (lambda x: F.split(x, 0), errors.ArgumentError),
        (lambda x: F.split(x, [1, 1]), errors.ShapeError),
        (lambda x: F.chunk(x, 0), errors.ArgumentError),
        (lambda x: F.unsqueeze(x, 4), IndexError),
        (lambda x: F.squeeze(x, 3), IndexError),
        (lambda x: F.narrow(x, 0, 2, 3), errors.ShapeError),
        (lambda x: F.select(x, 0, 3), IndexError),
        (lambda x: F.stack([]), errors.ArgumentError),
        (lambda x: F.stack([x, x[0]]), errors.ShapeError),
        (F.stack, errors.DTypeError),
        (lambda x: F.unflatten(x, 0, (2, 2)), errors.ShapeError),
        (lambda x: F.movedim(x, (0, 0), (0, 1)), errors.ArgumentError),
        (F.meshgrid, errors.ShapeError),
        (lambda x: F.tril(x[0]), errors.ShapeError),
        (lambda x: F.meshgrid(x[0], indexing="yx"), errors.ArgumentError),
        (lambda x: F.repeat_interleave(x, -1), errors.ArgumentError),
        (lambda x: F.repeat_interleave(x, np.ones(2, int), 0), errors.ShapeError),
        (lambda x: F.roll(x, (1, 2), (0,)), errors.ArgumentError),
        (lambda x: F.flip(x, (0, 0)), errors.ArgumentError),
        (lambda x: F.diag(x[None]), errors.ShapeError),
        (lambda x: F.broadcast_to(x, (2, 4)), errors.ShapeError),
        (lambda x: F.unbind(x[0, 0]), errors.ShapeError),
        (lambda x: F.squeeze([1.0]), errors.DTypeError),
        (lambda x: F.broadcast_tensors(x, x[:2]), errors.ShapeError),
    ],
)
def test_refused(call, error):
    with pytest.raises(error):
        call(np.zeros((3, 4)))
