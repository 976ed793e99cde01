"""Views, indexing and joining agree with torch, and with their own gradients."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from agreement import check_gradients, check_values, normal  # noqa: E402

import fastdl  # noqa: E402
import fastdl.functional as F  # noqa: E402
from fastdl import errors  # noqa: E402
from fastdl.core.shapes import is_channels_last  # noqa: E402
from fastdl.ops.shape import sum_to_shape  # noqa: E402
from fastdl.spec import OPS  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::fastdl.core.errors.FallbackWarning")
INTS = np.array([2, 0, 2])
MASK = np.array([[True, False, True, True], [False] * 4, [True] * 4])
INDICES = {
    "int": 1,
    "negative int": -1,
    "numpy int": np.int64(2),
    "slice": slice(1, None),
    "step": (slice(None), slice(None, None, 2)),
    "ellipsis": (..., 1),
    "new dims": (None, 0, ..., None),
    "empty tuple": (),
    "all ints": (1, 2, 3),
    "ints": INTS,
    "int32": INTS.astype(np.int32),
    "list": [0, 2],
    "empty list": [],
    "2-d ints": INTS[:, None] * np.ones((1, 2), np.int64),
    "pairs": (INTS, np.array([1, 1, 3])),
    "broadcast pairs": (INTS[:, None], np.array([1, 3])),
    "apart": (INTS, slice(None), np.array([0, 1, 4])),
    "int before array": (0, slice(None), INTS),
    "int after array": (INTS, slice(None), 0),
    "int between": (INTS, 1, INTS),
    "0-d array": (np.array(1), slice(None), INTS),
    "array, then new dim": (INTS, None, slice(1, 3)),
    "mask": MASK,
    "mask of one dim": (slice(None), np.array([True, False, True, False])),
    "mask after slice": (slice(None), slice(None), np.array([True, False, True, True, False])),
    "mask and int": (MASK[:, 0], 2),
    "bool": True,
    "no bool": False,
    "negative ints": np.array([-1, -3]),
}


def _torch_index(index):
    if isinstance(index, tuple):
        return tuple(map(_torch_index, index))
    if isinstance(index, np.integer):
        return int(index)
    return torch.tensor(index) if isinstance(index, np.ndarray) else index


@pytest.mark.parametrize("case", INDICES)
def test_getitem(case):
    index, x = INDICES[case], normal(3, 4, 5)
    got, want = OPS["getitem"](x, index=index), torch.tensor(x)[_torch_index(index)].numpy()
    np.testing.assert_array_equal(got, want)
    assert isinstance(got, np.ndarray)
    assert got.shape == want.shape


@pytest.mark.parametrize("case", INDICES)
def test_getitem_gradients(case):
    index = INDICES[case]
    check_gradients(
        "getitem", normal(3, 4, 5),
        ours=lambda x: OPS["getitem"](x, index=index), theirs=lambda x: x[_torch_index(index)],
    )  # fmt: skip


@pytest.mark.parametrize("case", INDICES)
def test_setitem(case):
    index, x = INDICES[case], normal(3, 4, 5)
    theirs, mine = torch.tensor(x), fastdl.Tensor(x.copy())
    value = normal(*theirs[_torch_index(index)].shape[1:], seed=1)
    if case in ("pairs", "apart", "int between", "ints", "int32", "2-d ints"):
        value = normal()  # which of several values lands on a repeated index is nobody's promise
    got = OPS["setitem"](x, value, index=index)
    theirs[_torch_index(index)] = torch.tensor(value)
    mine[index] = value
    np.testing.assert_array_equal(got, theirs.numpy())
    np.testing.assert_array_equal(mine.numpy(), theirs.numpy())


@pytest.mark.parametrize("case", ["int", "step", "broadcast pairs", "int before array", "mask"])
def test_setitem_gradients(case):
    index = INDICES[case]
    x = normal(3, 4, 5, dtype=np.float64)
    place = x[index].shape if case != "int before array" else (4, 3)
    if case == "int before array":
        index = (0, slice(None), np.array([2, 0, 1]))
    if case == "broadcast pairs":  # each place once: of two values the last one counts
        index = (np.array([[2], [0], [1]]), np.array([1, 3]))

    def theirs(t, v):
        t = t.clone()
        t[_torch_index(index)] = v
        return t

    for shape in (place, place[1:], (1, *place)):
        check_gradients(
            "setitem", x, normal(*shape, seed=1),
            ours=lambda t, v: OPS["setitem"](t, v, index=index), theirs=theirs,
        )  # fmt: skip


def test_basic_indices_are_views():
    x = normal(3, 4, 5)
    for index in (1, (1, 2, 3), slice(None, None, -1), (..., None), ()):
        assert np.shares_memory(OPS["getitem"](x, index=index), x)
    assert not np.shares_memory(OPS["getitem"](x, index=INTS), x)


def test_negative_steps_which_torch_has_not():
    x = normal(5, 4)
    np.testing.assert_array_equal(OPS["getitem"](x, index=slice(None, None, -2)), x[::-2])
    t = fastdl.Tensor(x, requires_grad=True)
    (t[::-2] * 2).sum().backward()
    np.testing.assert_array_equal(t.grad.numpy(), np.repeat([[2], [0], [2], [0], [2]], 4, 1))


def test_getitem_gradient_counts_duplicates():
    g = OPS["getitem_backward"](
        np.ones(4, np.float32), input_shape=(3,), index=np.array([2, 0, 2, 2])
    )
    np.testing.assert_array_equal(g, [1, 0, 3])


@pytest.mark.parametrize("shape", [(12, 5), (-1,), (3, -1, 2, 1), (60, 1), (5, 4, 3)])
def test_reshape(shape):
    check_values("reshape", normal(3, 4, 5), shape=shape)
    check_gradients("reshape", normal(3, 4, 5), shape=shape)


def test_reshape_of_nothing_and_of_scalars():
    for source, shape in (((0, 3), (-1, 3)), ((0, 3), (3, 0)), ((), (1, -1)), ((1,), ())):
        check_values("reshape", normal(*source), shape=shape)


@pytest.mark.parametrize("dims", [(0, 1, 2), (2, 0, 1), (-1, 1, -3)])
def test_permute(dims):
    check_values("permute", normal(2, 3, 4), dims=dims)
    check_gradients("permute", normal(2, 3, 4), dims=dims)


@pytest.mark.parametrize("dims", [(0, 1), (-1, 0), (1, 1)])
def test_transpose(dims):
    x = normal(2, 3, 4)
    np.testing.assert_array_equal(F.transpose(x, *dims), torch.tensor(x).transpose(*dims).numpy())


@pytest.mark.parametrize("span", [(0, -1), (1, 2), (-2, -1), (1, 1)])
def test_flatten(span):
    x = normal(2, 3, 4)
    assert F.flatten(x, *span).shape == torch.tensor(x).flatten(*span).shape
    assert F.flatten(normal()).shape == (1,)


@pytest.mark.parametrize(
    "source, shape", [((3, 1), (3, 4)), ((3,), (2, -1)), ((), (2, 2)), ((1, 2), (0, 2))]
)
def test_expand(source, shape):
    def ours(x):
        return OPS["expand"](x, shape=shape)

    check_values("expand", normal(*source), ours=ours, theirs=lambda x: x.expand(shape),
                 spec_options={"shape": shape})  # fmt: skip
    check_gradients("expand", normal(*source), ours=ours, theirs=lambda x: x.expand(shape))


@pytest.mark.parametrize("shapes, dim", [
    (((2, 3), (4, 3)), 0), (((2, 3), (2, 1), (2, 5)), -1), (((3,),), 0), (((0,), (2, 3)), 1),
    (((2, 0), (2, 3)), 1), (((0,), (0,)), 0), (((0,), (3,)), -1),
])  # fmt: skip
def test_cat(shapes, dim):
    arrays = [normal(*s, seed=i) for i, s in enumerate(shapes)]
    check_values("cat", *arrays, ours=lambda *a: F.cat(a, dim), theirs=lambda *a: torch.cat(a, dim),
                 spec_options={"dim": dim})  # fmt: skip
    check_gradients(
        "cat", *arrays, ours=lambda *a: F.cat(a, dim), theirs=lambda *a: torch.cat(a, dim)
    )


@pytest.mark.parametrize("dtypes", [
    (np.int64, np.float32), (np.bool_, np.uint8), (np.int32, np.int64), (np.float32, np.float64),
    (np.uint8, np.int32, np.float32),
])  # fmt: skip
def test_cat_promotes(dtypes):
    arrays = [np.ones((2, 2), d) for d in dtypes]
    want = torch.cat([torch.tensor(a) for a in arrays])
    got = F.cat(arrays)
    assert got.dtype == want.numpy().dtype
    np.testing.assert_array_equal(got, want)


def test_cat_keeps_channels_last_if_all_have_it():
    last = OPS["copy"](normal(2, 3, 4, 5), channels_last=True)
    assert is_channels_last(F.cat([last, last], 1))
    assert not is_channels_last(F.cat([last, normal(2, 3, 4, 5)], 1))


@pytest.mark.parametrize("shape", [(2, 3, 4), (3, 1), (1, 1, 1), (4,), (), (1, 1, 1, 2, 3, 4)])
def test_sum_to_shape_is_the_transpose_of_broadcasting(shape):
    g = np.random.default_rng(0).integers(-9, 9, (2, 3, 4)).astype(np.float64)
    t = torch.zeros(shape, dtype=torch.float64, requires_grad=True)
    (t.reshape(shape[-3:]) * torch.from_numpy(g)).sum().backward()
    np.testing.assert_array_equal(sum_to_shape(g, shape), t.grad.numpy())


@pytest.mark.parametrize(
    "name", ["reshape", "permute", "expand", "getitem", "getitem_backward", "setitem", "cat"]
)
def test_declared_errors(name):
    for bad in OPS[name].bad_inputs:
        args, options = bad.call()
        with pytest.raises(bad.error, match=name):
            OPS[name](*args, **options)


def test_indices_that_torch_and_we_refuse():
    x = normal(3, 4)
    for index in (5, (0, 0, 0), np.array([9]), np.array([True])):
        with pytest.raises(IndexError):
            torch.tensor(x)[_torch_index(index)]
        with pytest.raises(errors.IndexRangeError):
            OPS["getitem"](x, index=index)
