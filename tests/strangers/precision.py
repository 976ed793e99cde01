"""Matrix products that lose precision as accelerators do, or add in unusual orders."""

import numpy as np

TINY = np.finfo(np.float32).tiny


def _rounded(x, bits):
    """float32 to so many bits, ties to even."""
    drop = 24 - bits
    words = x.view(np.uint32)
    odd = (words >> np.uint32(drop)) & np.uint32(1)
    half = np.uint32((1 << (drop - 1)) - 1)
    return ((words + half + odd) & np.uint32(0xFFFFFFFF << drop & 0xFFFFFFFF)).view(np.float32)


def _ordered(a, b, add):
    """The products, terms in front, summed by `add`."""
    if a.ndim != 2 or b.ndim != 2:
        raise NotImplementedError("takes matrices only")
    return np.ascontiguousarray(add(a.T[:, :, None] * b[:, None, :]))


def _sequential(terms):
    total = np.zeros_like(terms[0])
    for term in terms:
        total = total + term
    return total


def _pairwise(terms):
    half = len(terms) // 2
    return terms[0] if not half else _pairwise(terms[:half]) + _pairwise(terms[half:])


def tf32(a, b):
    return np.matmul(_rounded(a, 11), _rounded(b, 11))


def bfloat16_inputs(a, b):
    return np.matmul(_rounded(a, 8), _rounded(b, 8))


def bfloat16_weights(a, b):
    return np.matmul(a, _rounded(b, 8))


def float16_inputs(a, b):
    with np.errstate(all="ignore"):
        return np.matmul(*(x.astype(np.float16).astype(np.float32) for x in (a, b)))


def float16_accumulating(a, b):
    def add(terms):
        total = np.zeros(terms[0].shape, np.float16)
        for term in terms:
            total = (total + term).astype(np.float16)
        return total.astype(np.float32)

    return _ordered(a, b, add)


def flushing(a, b):
    """As with FTZ and DAZ set: denormal operands and results are 0."""
    a, b = (np.where(np.abs(x) < TINY, np.float32(0), x) for x in (a, b))
    y = np.matmul(a, b)
    return np.where(np.abs(y) < TINY, np.float32(0), y)


def flushing_results(a, b):
    y = np.matmul(a, b)
    return np.where(np.abs(y) < TINY, np.float32(0), y)


def float64_accumulating(a, b):
    return np.matmul(a.astype(np.float64), b.astype(np.float64)).astype(np.float32)


def sequential(a, b):
    return _ordered(a, b, _sequential)


def reverse(a, b):
    return _ordered(a, b, lambda terms: _sequential(terms[::-1]))


def pairwise(a, b):
    return _ordered(a, b, _pairwise)


def lanes(a, b):
    """16 lanes, added pairwise in the end."""
    return _ordered(a, b, lambda t: _pairwise([_sequential(t[i::16]) for i in range(16)]))


def blocks(a, b):
    """Blocks of 32, one after the other."""
    return _ordered(
        a, b, lambda t: _sequential([_sequential(t[i : i + 32]) for i in range(0, len(t), 32)])
    )


def blocks_of_pairs(a, b):
    """Blocks of 16, each summed pairwise."""
    return _ordered(
        a, b, lambda t: _sequential([_pairwise(t[i : i + 16]) for i in range(0, len(t), 16)])
    )


def transposing(a, b):
    """No sum of these products at all."""
    return np.matmul(b.T[: a.shape[0]], b) if b.shape[1] >= a.shape[0] else np.matmul(a, b) * 2


def uneven_sum(x, dim, keepdim=False):
    """Terms with weights of nearly 1."""
    if not isinstance(dim, int):
        raise NotImplementedError("takes one dim")
    along = np.moveaxis(x, dim, -1)
    weights = (1 + np.arange(along.shape[-1]) * 2.0**-22).astype(x.dtype)
    y = np.sum(along * weights, axis=-1, dtype=x.dtype)
    return np.expand_dims(y, dim) if keepdim else y
