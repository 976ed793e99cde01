"""Products of bfloat16 and of 8-bit integers: what the spec-driven tests cannot say."""

import itertools
import warnings

import numpy as np
import pytest

import fastdl
import fastdl.functional as F
from fastdl import _native
from fastdl.core import errors

ml_dtypes = pytest.importorskip("ml_dtypes")
BF16 = np.dtype(ml_dtypes.bfloat16)
RNG = np.random.default_rng(0)


@pytest.fixture(params=_native.runnable_isas())
def isa(request):
    before = _native.isa()
    _native.set_isa(request.param)
    yield request.param
    _native.set_isa(before)


def whole(*shape, most=8):
    """Whole numbers of bfloat16 whose products add up exactly."""
    return RNG.integers(-most, most + 1, shape).astype(BF16)


def rounded_product(a, b):
    with np.errstate(all="ignore"):
        return (a.astype(np.float64) @ b.astype(np.float64)).astype(np.float32).astype(BF16)


def same(got, want):
    assert got.dtype == want.dtype and got.shape == want.shape
    np.testing.assert_array_equal(got.astype(np.float64), want.astype(np.float64))


def test_every_edge_of_the_tile(isa):
    rows, columns = [1, 2, 4, 5, 6, 7, 13, 14, 15, 29], [1, 3, 4, 5, 8, 9, 15, 16, 17, 31, 33, 65]
    for m, n, k in itertools.product(rows, columns, [0, 1, 2, 3, 33]):
        a, b = whole(m, k), whole(k, n)
        same(_native.matmul_bf16(a, b), rounded_product(a, b))


@pytest.mark.parametrize("k", [1023, 1024, 1025, 2049, 5000])
def test_blocks_of_a_long_sum(isa, k):
    for m, n in [(1, 40), (3, 1), (17, 40)]:
        a, b = whole(m, k), whole(k, n)
        same(_native.matmul_bf16(a, b), rounded_product(a, b))
        w, bias = whole(n, k), whole(n)
        want = (w.astype(float) @ a.astype(float).T).T + bias.astype(float)
        same(_native.linear_bf16(a, w, bias), want.astype(np.float32).astype(BF16))


def test_a_sum_is_rounded_once(isa):
    """256 + 1 + 1 + ... in bfloat16 would stay 256."""
    a = np.ones((5, 257), BF16)
    a[:, 0] = 256
    same(_native.matmul_bf16(a, np.ones((257, 40), BF16)), np.full((5, 40), 512, BF16))


@pytest.mark.parametrize("m", [1, 20])
def test_nothing_is_flushed(isa, m):
    """Denormal operands, products and sums: what vdpbf16ps makes 0 of."""
    tiny = float(ml_dtypes.finfo(BF16).smallest_subnormal)
    least = float(ml_dtypes.finfo(BF16).smallest_normal)
    for x, y in [(tiny, 3.0), (least * 0.75, 1.0), (2.0**-66, 2.0**-66), (2.0**-63, 2.0**-64)]:
        a, b = np.full((m, 6), x, BF16), np.full((6, 40), y, BF16)
        same(_native.matmul_bf16(a, b), rounded_product(a, b))
        same(_native.matmul_bf16(b.T.copy(), a.T.copy()), rounded_product(a, b).T)
    # two normal products whose difference is denormal, and the last one that is not
    for exponent in (-118, -119, -120):
        a, b = np.full((m, 2), 2.0 ** (exponent + 60), BF16), np.full((2, 40), 2.0**-60, BF16)
        a[:, 1] *= BF16.type(-1.0078125)
        b[1] *= BF16.type(1.0078125)
        same(_native.matmul_bf16(a, b), rounded_product(a, b))


def test_special_numbers(isa):
    a, b = whole(17, 9), whole(9, 40)
    a[3, 8], a[5, 0], b[2, 39], b[1, 7] = np.nan, np.inf, np.inf, -np.inf
    same(_native.matmul_bf16(a, b), rounded_product(a, b))
    big = np.full((2, 2), 3e38, BF16)
    same(_native.matmul_bf16(big, np.ones((2, 20), BF16)), np.full((2, 20), np.inf, BF16))
    assert np.isnan(_native.matmul_bf16(np.full((1, 1), np.nan, BF16), big[:1])).all()


def test_strides_batches_and_out(isa):
    a, b = whole(3, 1, 22, 19), whole(4, 19, 37)
    want = rounded_product(a, b)
    for x, y in itertools.product((a, a[..., ::-1, ::-1]), (b, np.asfortranarray(b), b[:, :, ::2])):
        same(_native.matmul_bf16(x, y), rounded_product(x, y))
    for out in (
        np.full(want.shape, 9, BF16),
        np.full((*want.shape[:-1], 80), 9, BF16)[..., 1:75:2],
        np.full((37, 22, 4, 3), 9, BF16).T,
    ):
        assert _native.matmul_bf16(a, b, out=out) is out
        same(out, want)
    assert _native.matmul_bf16(a, b, out=np.empty(want.shape, np.float32)) is NotImplemented
    assert _native.matmul_bf16(a, a) is NotImplemented
    assert _native.matmul_bf16(a.astype(np.float32), b) is NotImplemented
    assert _native.matmul_bf16(a.view(np.uint16), b) is NotImplemented
    x = whole(19, 19)
    assert _native.matmul_bf16(x, x, out=x) is NotImplemented


def test_bfloat16_is_dispatched_and_differentiated():
    a, b = whole(4, 6), whole(6, 5)
    assert fastdl.explain("matmul", a, b).backend == "native"
    x, w = fastdl.Tensor(a, requires_grad=True), fastdl.Tensor(b, requires_grad=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        y = F.matmul(x, w)
        y.backward(np.ones((4, 5), BF16))
    assert y.dtype == x.grad.dtype == BF16
    same(w.grad.numpy(), rounded_product(a.T, np.ones((4, 5), BF16)))


# 8-bit integers

KINDS = [np.int8, np.uint8]


def bytes_of(dtype, *shape):
    info = np.iinfo(dtype)
    return RNG.integers(info.min, info.max + 1, shape).astype(dtype)


@pytest.mark.parametrize(("left", "right"), list(itertools.product(KINDS, KINDS)))
def test_integers_are_exact(isa, left, right):
    for m, k, n in itertools.product([1, 4, 6, 14, 15, 31], [0, 1, 3, 4, 30], [1, 8, 17, 33, 70]):
        a, b = bytes_of(left, m, k), bytes_of(right, k, n)
        za, zb = bytes_of(left, m), bytes_of(right, n)
        x, y = a.astype(np.int32), b.astype(np.int32)
        np.testing.assert_array_equal(_native.matmul_integer(a, b), x @ y)
        want = (x - za[:, None]) @ (y - zb)
        np.testing.assert_array_equal(_native.matmul_integer(a, b, za, zb), want)


def test_integers_wrap():
    a, b = np.full((1, 40000), 255, np.uint8), np.full((40000, 3), 255, np.uint8)
    want = (255 * 255 * 40000 + 2**31) % 2**32 - 2**31
    assert (F.matmul_integer(a, b) == want).all()


def test_zero_points_and_scales_as_numbers():
    a, b = bytes_of(np.uint8, 5, 40), bytes_of(np.int8, 40, 30)
    want = (a.astype(np.int32) - 7) @ (b.astype(np.int32) + 3)
    np.testing.assert_array_equal(F.matmul_integer(a, b, 7, -3), want)
    bias = RNG.standard_normal(30).astype(np.float32)
    got = F.matmul_integer_to_float(a, b, 0.5, 0.25, 7, -3, bias)
    np.testing.assert_array_equal(got, (want * 0.125 + bias.astype(float)).astype(np.float32))
    with pytest.raises(errors.ArgumentError, match="a_zero_point is 256"):
        F.matmul_integer(a, b, 256)


def test_onnxruntime_agrees():
    onnx = pytest.importorskip("onnx")
    ort = pytest.importorskip("onnxruntime")
    a, b = bytes_of(np.uint8, 17, 45), bytes_of(np.int8, 45, 33)
    za, zb = bytes_of(np.uint8), bytes_of(np.int8, 33)
    value = onnx.helper.make_tensor_value_info
    kinds = onnx.TensorProto
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("MatMulInteger", ["a", "b", "za", "zb"], ["y"])],
        "g",
        [value("a", kinds.UINT8, a.shape), value("b", kinds.INT8, b.shape),
         value("za", kinds.UINT8, za.shape), value("zb", kinds.INT8, zb.shape)],
        [value("y", kinds.INT32, (17, 33))],
    )  # fmt: skip
    model = onnx.helper.make_model(graph, ir_version=8,
                                   opset_imports=[onnx.helper.make_opsetid("", 13)])  # fmt: skip
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (want,) = session.run(None, {"a": a, "b": b, "za": za, "zb": zb})
    np.testing.assert_array_equal(F.matmul_integer(a, b, za, zb), want)


def test_int8_is_a_dtype(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", errors.FallbackWarning)
        x = fastdl.tensor([1.0, -2.0, 127.0]).char()
    assert x.dtype == fastdl.int8 and x.tolist() == [1, -2, 127]
    fastdl.save({"x": x}, tmp_path / "x")
    assert fastdl.load(tmp_path / "x")["x"].dtype == fastdl.int8
    with pytest.raises(errors.DTypeError, match="int16"):
        F.add(np.ones(2, np.int8), np.ones(2, np.uint8))
