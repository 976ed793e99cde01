"""Creation functions, interchange with other libraries, and torch's habits at the top level."""

import numpy as np
import pytest

import fastdl
from fastdl.core.errors import ArgumentError, AutogradError, DeviceError, DTypeError

DTYPES = (fastdl.float32, fastdl.float64, fastdl.int64, fastdl.int32, fastdl.uint8, fastdl.bool)


@pytest.mark.parametrize("dtype", [None, *DTYPES])
def test_fills(dtype):
    for make, value in ((fastdl.zeros, 0), (fastdl.ones, 1)):
        for size in ((2, 3), (), (0, 4), (5,)):
            for t in (
                make(*size, dtype=dtype),
                make(size, dtype=dtype),
                make(list(size), dtype=dtype),
            ):
                assert t.shape == size
                assert t.dtype == (dtype or fastdl.float32)
                assert (t.numpy() == value).all()
    like = fastdl.zeros(2, 3, dtype=dtype)
    for t, value in (
        (fastdl.zeros_like(like), 0), (fastdl.ones_like(like), 1), (fastdl.full_like(like, 1), 1),
        (like.new_zeros(2, 3), 0), (like.new_ones((2, 3)), 1), (like.new_full((2, 3), 1), 1),
    ):  # fmt: skip
        assert t.shape == (2, 3)
        assert t.dtype == like.dtype
        assert (t.numpy() == value).all()
    assert fastdl.empty(3, 4, dtype=dtype).shape == fastdl.empty_like(fastdl.zeros(3, 4)).shape


def test_full_takes_the_dtype_of_its_value():
    assert fastdl.full((2,), 3).dtype == fastdl.int64
    assert fastdl.full((2,), 3.0).dtype == fastdl.float32
    assert fastdl.full((2,), True).dtype == fastdl.bool
    assert fastdl.full((2,), 3, dtype=fastdl.float64).tolist() == [3.0, 3.0]


@pytest.mark.parametrize(
    "args",
    [(5,), (2, 5), (1, 10, 3), (5, 0, -2), (0.0, 1.0, 0.1), (1, 2, 0.25), (3, 3), (0,), (2.5,)],
)
def test_arange_agrees_with_torch(args):
    torch = pytest.importorskip("torch")
    ours, theirs = fastdl.arange(*args), torch.arange(*args)
    assert ours.dtype.name == str(theirs.dtype).removeprefix("torch.")
    np.testing.assert_array_equal(ours.numpy(), theirs.numpy())


def test_linspace_and_eye():
    np.testing.assert_array_equal(
        fastdl.linspace(0, 1, 5).numpy(), np.linspace(0, 1, 5, dtype="f4")
    )
    assert fastdl.linspace(2, 3, 0).shape == (0,)
    np.testing.assert_array_equal(fastdl.eye(2, 3).numpy(), np.eye(2, 3))
    assert fastdl.eye(3).dtype == fastdl.float32


@pytest.mark.parametrize(
    "call, error",
    [
        (lambda: fastdl.zeros(-1), ArgumentError),
        (lambda: fastdl.zeros(2.5), ArgumentError),
        (lambda: fastdl.zeros("x"), ArgumentError),
        (lambda: fastdl.zeros(2, dtype="complex64"), DTypeError),
        (lambda: fastdl.zeros(2, dtype=fastdl.int64, requires_grad=True), DTypeError),
        (lambda: fastdl.zeros(2, device="tpu"), DeviceError),
        (lambda: fastdl.arange(0, 1, 0), ArgumentError),
        (lambda: fastdl.arange(0, 1, -1), ArgumentError),
        (lambda: fastdl.linspace(0, 1, -1), ArgumentError),
        (lambda: fastdl.from_numpy([1.0]), DTypeError),
        (lambda: fastdl.from_dlpack([1.0]), DTypeError),
        (lambda: fastdl.device("tpu"), DeviceError),
    ],
)
def test_bad_input(call, error):
    with pytest.raises(error):
        call()


def test_as_tensor_shares_where_it_can():
    array = np.arange(3.0, dtype="f4")
    assert np.shares_memory(fastdl.as_tensor(array).numpy(), array)
    assert not np.shares_memory(fastdl.as_tensor(array, dtype="float64").numpy(), array)
    t = fastdl.ones(3, requires_grad=True)
    assert fastdl.as_tensor(t) is t
    assert fastdl.as_tensor([1.0, 2.0]).dtype == fastdl.float32


def test_dlpack_both_ways():
    """Storage is shared, whatever the strides, negative ones too."""
    torch = pytest.importorskip("torch")
    base = fastdl.arange(24.0).reshape(2, 3, 4)
    for view in (base, base.permute(2, 0, 1), base[:, ::2], base[:, 1:, 2]):
        there = torch.from_dlpack(view)
        assert there.data_ptr() == view.data_ptr()
        assert there.shape == view.shape
        np.testing.assert_array_equal(there.numpy(), view.numpy())
        back = fastdl.from_dlpack(there)
        assert back.data_ptr() == view.data_ptr()
        assert back.stride() == view.stride()
    back = np.from_dlpack(fastdl.from_numpy(np.arange(5.0)[::-1]))
    np.testing.assert_array_equal(back, np.arange(5.0)[::-1])
    assert base.__dlpack_device__() == (1, 0)
    with pytest.raises(AutogradError):
        np.from_dlpack(fastdl.ones(2, requires_grad=True))
    with pytest.raises(DTypeError):
        fastdl.from_dlpack(np.zeros(2, "c8"))


def test_array_protocol():
    t = fastdl.arange(3.0)
    assert np.shares_memory(np.asarray(t), t.numpy())
    assert np.asarray(t, dtype="f8").dtype == np.float64
    assert not np.shares_memory(np.array(t, copy=True), t.numpy())
    with pytest.raises(ValueError, match="copy"):
        np.array(t, dtype="f8", copy=False)


def test_facts_agree_with_torch():
    torch = pytest.importorskip("torch")
    ours = fastdl.zeros(2, 3, 4, 5)
    theirs = torch.zeros(2, 3, 4, 5)
    for a, b in ((ours, theirs), (ours.permute(0, 2, 3, 1), theirs.permute(0, 2, 3, 1))):
        assert a.stride() == b.stride()
        assert a.stride(1) == b.stride(1)
        assert a.is_contiguous() == b.is_contiguous()
        assert a.numel() == a.nelement() == b.numel()
        assert a.element_size() == b.element_size()
        assert a.mT.shape == tuple(b.mT.shape)
        assert a.is_floating_point() == b.is_floating_point()
    last = ours.contiguous(memory_format=fastdl.channels_last)
    assert last.is_contiguous(memory_format=fastdl.channels_last)
    assert not last.is_contiguous()
    assert ours.type_as(fastdl.ones(1, dtype=fastdl.float64)).dtype == fastdl.float64


def test_what_is_missing_is_named():
    with pytest.raises(AttributeError, match="'fft'"):
        fastdl.fft  # noqa: B018
    with pytest.raises(AttributeError, match="geqrf"):
        fastdl.ones(2).geqrf()
    assert not fastdl.cuda.is_available()
    assert str(fastdl.device("cuda:1")) == "cuda:1"
    assert fastdl.device("cuda", 1) == fastdl.device("cuda:1")


def test_functional_by_its_torch_path():
    import fastdl.nn.functional as F

    from fastdl.nn import functional

    assert F is functional is fastdl.functional
