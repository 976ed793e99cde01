"""Honest kernels of strange making, which tests/test_honest_strangers.py judges."""

import functools
import os
from concurrent.futures import ThreadPoolExecutor

import numba
import numpy as np

import fastdl


def einsum(a, b):
    """matmul, as a sum over subscripts."""
    if a.ndim < 2 or b.ndim < 2:
        raise NotImplementedError("no vectors")
    if not a.shape[-1]:  # NumPy 2.4's einsum may multiply elements that are not there
        return np.matmul(a, b)
    return np.einsum("...ik,...kj->...ij", a, b)


def loops(a, b):
    """matmul of matrices, in Python's own floats, one term after the other."""
    if (a.ndim, b.ndim) != (2, 2):
        raise NotImplementedError("matrices only")
    rows, columns = a.tolist(), b.T.tolist()
    y = np.empty((a.shape[0], b.shape[1]), np.float32)
    for i, row in enumerate(rows):
        for j, column in enumerate(columns):
            total = 0.0
            for p, q in zip(row, column, strict=True):
                total += p * q
            y[i, j] = total
    return y


@numba.njit
def _product(a, b, y):
    for i in range(a.shape[0]):
        for j in range(b.shape[1]):
            total = np.float32(0)
            for k in range(a.shape[1]):
                total += a[i, k] * b[k, j]
            y[i, j] = total


def compiled(a, b):
    """matmul of matrices in Numba."""
    if (a.ndim, b.ndim) != (2, 2):
        raise NotImplementedError("matrices only")
    y = np.empty((a.shape[0], b.shape[1]), np.float32)
    _product(a, b, y)
    return y


_pool = ThreadPoolExecutor(3)


def pooled(a, b):
    """matmul, a block of rows for each of its own threads."""
    if (a.ndim, b.ndim) != (2, 2):
        raise NotImplementedError("matrices only")
    y = np.empty((a.shape[0], b.shape[1]), np.float32)
    blocks = [slice(i, i + 16) for i in range(0, a.shape[0], 16)]
    list(_pool.map(lambda rows: np.matmul(a[rows], b, out=y[rows]), blocks))
    return y


def half_inputs(a, b):
    """matmul of inputs rounded to float16's 11 bits, at any exponent; its author says so."""
    return np.matmul(_rounded(a), _rounded(b))


def _rounded(x):
    fraction, exponent = np.frexp(x)
    return np.ldexp(fraction.astype(np.float16).astype(np.float32), exponent)


def float16_arrays(a, b):
    """matmul of float16 arrays, summed in float32."""
    return np.asarray(np.matmul(a.astype(np.float32), b.astype(np.float32)), np.float16)


def float64_arrays(a, b):
    """matmul of float64 arrays."""
    return np.matmul(a, b)


def fortran_order(a, b):
    """matmul whose result lies in memory column by column."""
    return np.asarray(np.matmul(a, b), order="F")


def part_of_more(a, b):
    """matmul whose result is a part of a larger array."""
    y = np.matmul(a, b)
    room = np.zeros((*y.shape[:-1], 2 * y.shape[-1] + 3) if y.ndim else (3,), np.float32)
    part = room[..., 1 : 2 * y.shape[-1] + 1 : 2] if y.ndim else room[1:2].reshape(())
    part[...] = y
    return part


def talkative(a, b):
    """matmul that prints."""
    print("multiplying", a.shape, b.shape)
    return np.matmul(a, b)


class Product:
    """matmul as an object that is called."""

    def __call__(self, a, b):
        return np.matmul(a, b)


instance = Product()
partial = functools.partial(np.einsum, "ij,jk->ik")


def shuffled(a, b):
    """matmul of matrices that adds in another order each time."""
    if (a.ndim, b.ndim) != (2, 2):
        raise NotImplementedError("matrices only")
    order = np.random.default_rng().permutation(a.shape[1])
    return np.matmul(a[:, order], b[order])


@fastdl.kernel("matmul", backend="mine", dtypes=("float32", "float64"), bits=True)
def declared(a, b):
    """matmul with a decorator, held to the same bits on every call."""
    if min(a.ndim, b.ndim) == 1 or not a.shape[-1]:
        return np.matmul(a, b)
    return np.einsum("...ij,...jk->...ik", a, b)


def pairwise_sum(x, dim=None, keepdim=False):
    """sum over the last dimension, by halves."""
    if x.dtype != np.float32 or dim not in (-1, x.ndim - 1) or not x.ndim:
        raise NotImplementedError("float32, the last dimension")
    while x.shape[-1] > 1:
        half = (x.shape[-1] + 1) // 2
        y = x[..., :half].copy()
        y[..., : x.shape[-1] - half] += x[..., half:]
        x = y
    y = x.sum(axis=-1, keepdims=bool(keepdim))
    return y


def _both(option):
    return (option, option) if isinstance(option, int) else option


def im2col(x, w, bias=None, stride=1, padding=0, dilation=1, groups=1):
    """conv2d as one product of the patches with the weights."""
    if isinstance(padding, str) or groups != 1 or not x.shape[1]:
        raise NotImplementedError("numbers as padding, one group, some channels")
    padding = _both(padding)
    if isinstance(padding[0], tuple):
        raise NotImplementedError("two paddings")
    (sh, sw), (ph, pw), (dh, dw) = _both(stride), padding, _both(dilation)
    n, c, _, _ = x.shape
    k, _, r, s = w.shape
    x = np.pad(x, ((0, 0), (0, 0), (ph, ph), (pw, pw)))
    p = (x.shape[2] - dh * (r - 1) - 1) // sh + 1
    q = (x.shape[3] - dw * (s - 1) - 1) // sw + 1
    columns = np.empty((n, c, r, s, p, q), np.float32)
    for i in range(r):
        for j in range(s):
            rows, cols = slice(i * dh, i * dh + sh * p, sh), slice(j * dw, j * dw + sw * q, sw)
            columns[:, :, i, j] = x[:, :, rows, cols][:, :, :p, :q]
    y = np.matmul(w.reshape(k, c * r * s), columns.reshape(n, c * r * s, p * q))
    y = y.reshape(n, k, p, q)
    return y if bias is None else y + bias[:, None, None]


@numba.njit
def _maximum(x, y, kernel, stride):
    for n in range(y.shape[0]):
        for c in range(y.shape[1]):
            for p in range(y.shape[2]):
                for q in range(y.shape[3]):
                    best = np.float32(-np.inf)
                    for i in range(p * stride, p * stride + kernel):
                        for j in range(q * stride, q * stride + kernel):
                            if x[n, c, i, j] > best or np.isnan(x[n, c, i, j]):
                                best = x[n, c, i, j]
                            if np.isnan(best):
                                break
                        if np.isnan(best):
                            break
                    y[n, c, p, q] = best


def numba_pool(x, kernel_size, stride=None):
    """max_pool2d without padding, of square windows."""
    stride = kernel_size if stride is None else stride
    if not (isinstance(kernel_size, int) and isinstance(stride, int)):
        raise NotImplementedError("square windows only")
    p, q = ((size - kernel_size) // stride + 1 for size in x.shape[2:])
    y = np.empty((*x.shape[:2], p, q), np.float32)
    _maximum(x, y, kernel_size, stride)
    return y


def foreign(a, b):
    """matmul of contiguous matrices by a C library, through cffi."""
    import cffi

    if (a.ndim, b.ndim) != (2, 2) or not (a.flags.c_contiguous and b.flags.c_contiguous):
        raise NotImplementedError("contiguous matrices only")
    ffi = cffi.FFI()
    ffi.cdef("void product(const float*, const float*, float*, int, int, int);")
    y = np.empty((a.shape[0], b.shape[1]), np.float32)
    pointers = [ffi.cast("float*", x.ctypes.data) for x in (a, b, y)]
    ffi.dlopen(os.environ["HONEST_LIBRARY"]).product(*pointers, *y.shape, a.shape[1])
    return y


@fastdl.kernel(
    "matmul", backend="mine", dtypes=("float32",),
    declines=lambda a, b: "no vectors" if min(a.ndim, b.ndim) < 2 else None,
)  # fmt: skip
def declining(a, b):
    """matmul that says beforehand what it does not take."""
    assert min(a.ndim, b.ndim) > 1
    return np.matmul(a, b)


def float_sum(x, dim=None, keepdim=False):
    """sum of float32 into float32, and nothing else."""
    return np.asarray(x.sum(axis=dim, keepdims=keepdim, dtype=np.float32))
