"""Products by other names, and sums of products by letters; all of them made of `matmul`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache, lru_cache
from typing import Any

from ..core.errors import ArgumentError, DTypeError, ShapeError
from ..core.shapes import as_int, as_ints, normalize_dim
from ..ops import elementwise
from ..ops import matmul as products
from ..ops import matmul_fused as fused
from ..ops import reduce as reductions
from ..ops import shape as ops
from ..ops.shape_view import diagonal
from ._face import method, shape_of

__all__ = ["addbmm", "addmm", "addmv", "addr", "baddbmm", "bmm", "dot", "einsum", "inner", "mm",
           "mv", "outer", "tensordot", "vdot"]  # fmt: skip


def _ranks(name: str, *wanted: tuple[Any, int]) -> None:
    for i, (x, ndim) in enumerate(wanted):
        shape = shape_of(name, x)
        if len(shape) != ndim:
            raise ShapeError(f"{name}: argument {i} has shape {shape}, want {ndim} dims")


@method
def mm(input: Any, mat2: Any, *, out: Any = None) -> Any:
    """[N, K] times [K, M]; ShapeError for other numbers of dims. As torch.mm."""
    _ranks("mm", (input, 2), (mat2, 2))
    return products.matmul(input, mat2, out=out)


@method
def bmm(input: Any, mat2: Any, *, out: Any = None) -> Any:
    """[B, N, K] times [B, K, M], matrix by matrix; nothing broadcasts. As torch.bmm."""
    _ranks("bmm", (input, 3), (mat2, 3))
    if input.shape[0] != mat2.shape[0]:
        raise ShapeError(f"bmm: got batches of {input.shape[0]} and {mat2.shape[0]}, want the same")
    return products.matmul(input, mat2, out=out)


@method
def mv(input: Any, vec: Any, *, out: Any = None) -> Any:
    """[N, K] times [K]. As torch.mv."""
    _ranks("mv", (input, 2), (vec, 1))
    return products.matmul(input, vec, out=out)


@method
def dot(input: Any, tensor: Any, *, out: Any = None) -> Any:
    """The sum of products of two vectors. As torch.dot."""
    _ranks("dot", (input, 1), (tensor, 1))
    return products.matmul(input, tensor, out=out)


vdot = method(name="vdot")(dot)


@method
def inner(input: Any, other: Any, *, out: Any = None) -> Any:
    """Sums of products along the last dims of both; a product with a number. As torch.inner."""
    if not shape_of("inner", input) or not shape_of("inner", other):
        return elementwise.mul(input, other, out=out)
    if input.shape[-1] != other.shape[-1]:
        raise ShapeError(f"inner: last dims of {input.shape} and {other.shape} differ")
    return tensordot(input, other, ([-1], [-1]), out=out)


@method
def outer(input: Any, vec2: Any, *, out: Any = None) -> Any:
    """All products of the elements of two vectors, [N, M]. As torch.outer."""
    _ranks("outer", (input, 1), (vec2, 1))
    column = ops.reshape(input, shape=(input.shape[0], 1))
    return elementwise.mul(column, vec2, out=out)


def _plus(input: Any, product: Any, beta: Any, alpha: Any) -> Any:
    """beta · input + alpha · product; without beta the input is not looked at."""
    scaled = product if alpha == 1 else elementwise.mul(product, alpha)
    if beta == 0:
        return scaled
    return elementwise.add(input if beta == 1 else elementwise.mul(input, beta), scaled)


@method(in_place=True)
def addmm(
    input: Any, mat1: Any, mat2: Any, *, beta: Any = 1, alpha: Any = 1, out: Any = None
) -> Any:
    """beta · input[N, M] + alpha · (mat1[N, K] times mat2[K, M]); the input broadcasts.

    With beta = 0 it is not read, whatever it holds. `out` may be the input itself: a sum over many
    products. As torch.addmm.
    """
    return fused.addmm(input, mat1, mat2, beta=beta, alpha=alpha, out=out)


@method(in_place=True)
def addmv(input: Any, mat: Any, vec: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
    """beta · input + alpha · (mat times vec). As torch.addmv."""
    return _plus(input, mv(mat, vec), beta, alpha)


@method(in_place=True)
def addr(input: Any, vec1: Any, vec2: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
    """beta · input + alpha · outer(vec1, vec2). As torch.addr."""
    return _plus(input, outer(vec1, vec2), beta, alpha)


@method(in_place=True)
def baddbmm(
    input: Any, batch1: Any, batch2: Any, *, beta: Any = 1, alpha: Any = 1, out: Any = None
) -> Any:
    """As `addmm`, of matrix by matrix of [B, N, K] and [B, K, M]. As torch.baddbmm."""
    return fused.baddbmm(input, batch1, batch2, beta=beta, alpha=alpha, out=out)


@method(in_place=True)
def addbmm(input: Any, batch1: Any, batch2: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
    """beta · input + alpha · the sum of all products of matrices. As torch.addbmm."""
    return _plus(input, reductions.sum(bmm(batch1, batch2), dim=0), beta, alpha)


def tensordot(a: Any, b: Any, dims: Any = 2, out: Any = None) -> Any:
    """Sums of products over pairs of dims: the last `dims` of a with the first of b, or two lists.

    Raises ShapeError where the sizes of a pair differ. As torch.tensordot.
    """
    left, right = shape_of("tensordot", a), shape_of("tensordot", b)
    if isinstance(dims, (tuple, list)):
        if len(dims) != 2:
            raise ArgumentError(f"tensordot: dims: got {dims}, want an int or two lists")
        over_a = [
            normalize_dim("tensordot", d, len(left)) for d in as_ints("tensordot", "dims", dims[0])
        ]
        over_b = [
            normalize_dim("tensordot", d, len(right)) for d in as_ints("tensordot", "dims", dims[1])
        ]
    else:
        count = as_int("tensordot", "dims", dims)
        if not 0 <= count <= min(len(left), len(right)):
            raise ArgumentError(f"tensordot: dims: got {count} for shapes {left} and {right}")
        over_a, over_b = list(range(len(left) - count, len(left))), list(range(count))
    if [left[d] for d in over_a] != [right[d] for d in over_b]:
        raise ShapeError(f"tensordot: dims {over_a} of {left} and {over_b} of {right} differ")
    pairs = _in_memory_order(a, b, list(zip(over_a, over_b, strict=True)))
    over_a, over_b = [d for d, _ in pairs], [d for _, d in pairs]
    kept_a = [d for d in range(len(left)) if d not in over_a]
    kept_b = [d for d in range(len(right)) if d not in over_b]
    rows, columns = math.prod(left[d] for d in kept_a), math.prod(right[d] for d in kept_b)
    terms = math.prod(left[d] for d in over_a)
    first = ops.reshape(ops.permute(a, dims=(*kept_a, *over_a)), shape=(rows, terms))
    second = ops.reshape(ops.permute(b, dims=(*over_b, *kept_b)), shape=(terms, columns))
    shape = (*(left[d] for d in kept_a), *(right[d] for d in kept_b))
    found = ops.reshape(_product(first, second), shape=shape)
    return found if out is None else elementwise.copy(found, channels_last=False, out=out)


def _strides(x: Any) -> tuple[int, ...]:
    return getattr(x, "_array", x).strides


def _in_memory_order(a: Any, b: Any, pairs: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Pairs of dims of a and b in the order that the larger of the two has them in memory.

    So its dims become one without being copied.
    """
    larger = int(math.prod(b.shape) > math.prod(a.shape))
    strides = _strides((a, b)[larger])
    return sorted(pairs, key=lambda pair: -abs(strides[pair[larger]]))


def _product(a: Any, b: Any) -> Any:
    """a @ b; integers, which matmul does not take, as sums of products."""
    if a.dtype.kind == "f" or a.dtype.name == "bfloat16":
        return products.matmul(a, b)
    shape_a, shape_b = a.shape, b.shape
    wide = elementwise.mul(
        ops.reshape(a, shape=(*shape_a, 1)),
        ops.reshape(b, shape=(*shape_b[:-2], 1, *shape_b[-2:])),
    )
    return reductions.sum(wide, dim=-2)


# --- einsum ------------------------------------------------------------------------------------


def einsum(equation: str, *operands: Any) -> Any:
    """Sums of products by letters: "bij,bjk->bik" names the dims of operands and result.

    A letter that is not in the result is summed over; one that an operand has twice is a diagonal;
    "..." stands for any leading dims, which broadcast. Without "->" the result has the letters that
    occur once, in order, after those of "...". Three or more operands are combined in the order
    that opt_einsum finds if it is installed, else from left to right.

    Raises ArgumentError for an equation that does not parse, ShapeError for sizes that do not fit.
    As torch.einsum, but for its form with lists of numbers.
    """
    given = list(operands[0] if len(operands) == 1 and isinstance(operands[0], (tuple, list))
                 else operands)  # fmt: skip
    if not isinstance(equation, str):
        raise DTypeError(f"einsum: equation: got {type(equation).__name__}, want a string")
    inputs, output = _parse(equation, [len(shape_of("einsum", x)) for x in given])
    _check_sizes(equation, inputs, given)
    terms = [_distinct(x, labels) for x, labels in zip(given, inputs, strict=True)]
    names = tuple(tuple(labels) for _, labels in terms)
    for places in _path(names, tuple(output), tuple(x.shape for x, _ in terms)):
        chosen = [terms[i] for i in places]
        terms = [term for i, term in enumerate(terms) if i not in places]
        x, labels = chosen.pop(0)
        while chosen:
            y, others = chosen.pop(0)
            later = {*output, *(label for _, names in (*terms, *chosen) for label in names)}
            x, labels = _contract(x, labels, y, others, later)
        terms.append((x, labels))
    x, labels = terms[0]
    gone = tuple(d for d, label in enumerate(labels) if label not in output)
    if gone:
        x = reductions.sum(x, dim=gone)
        labels = [label for label in labels if label in output]
    order = tuple(labels.index(label) for label in output)
    return x if order == tuple(range(len(order))) else ops.permute(x, dims=order)


Labels = list[str]


def _parse(equation: str, ranks: list[int]) -> tuple[list[Labels], Labels]:
    """The labels of every operand and of the result; dims of "..." are numbered from the last."""

    def wrong(what: str) -> ArgumentError:
        return ArgumentError(f"einsum: equation {equation!r}: {what}")

    left, arrow, right = equation.replace(" ", "").partition("->")
    texts = left.split(",")
    if len(texts) != len(ranks):
        raise wrong(f"names {len(texts)} operands, got {len(ranks)}")

    def labels_of(text: str, dots: int) -> Labels:
        before, ellipsis, after = text.partition("...")
        if not all(c.isascii() and c.isalpha() for c in before + after):
            raise wrong("want letters, ',', '...' and '->'")
        middle = [f".{i}" for i in range(dots - 1, -1, -1)] if ellipsis else []
        return [*before, *middle, *after]

    inputs, most = [], 0
    for i, (text, rank) in enumerate(zip(texts, ranks, strict=True)):
        named = len(text.replace("...", ""))
        dots = rank - named
        if dots < 0 or (dots > 0 and "..." not in text):
            raise wrong(f"names {named} dims of operand {i}, which has {rank}")
        inputs.append(labels_of(text, dots))
        most = max(most, dots if "..." in text else 0)
    every = [label for labels in inputs for label in labels]
    if arrow:
        output = labels_of(right, most)
        unknown = [label for label in output if label not in every]
        if unknown or len(set(output)) < len(output):
            raise wrong("the result has a letter twice, or one that no operand has")
    else:
        once = sorted(c for c in set(every) if len(c) == 1 and every.count(c) == 1)
        output = [f".{i}" for i in range(most - 1, -1, -1)] + once
    return inputs, output


def _check_sizes(equation: str, inputs: list[Labels], operands: Sequence[Any]) -> None:
    sizes: dict[str, int] = {}
    for labels, x in zip(inputs, operands, strict=True):
        for label, n in zip(labels, x.shape, strict=True):
            known = sizes.setdefault(label, n)
            if n not in (1, known) and known != 1:
                name = label.lstrip(".")
                raise ShapeError(f"einsum: {equation!r}: {name!r} has sizes {known} and {n}")
            sizes[label] = n if known == 1 else known


@cache
def _opt_einsum() -> Any:
    """The package, or None."""
    try:
        import opt_einsum
    except ImportError:
        return None
    return opt_einsum


@lru_cache(256)
def _path(
    inputs: tuple[tuple[str, ...], ...], output: tuple[str, ...], shapes: tuple[Any, ...]
) -> list[tuple[int, ...]]:
    """Which operands to combine first, and so on: they leave the list, their result goes last."""
    package = _opt_einsum() if len(inputs) > 2 else None
    if package is None:
        return [tuple(range(len(inputs)))]  # from left to right
    letters: dict[str, str] = {}
    for label in (label for labels in inputs for label in labels):
        letters.setdefault(label, package.get_symbol(len(letters)))
    left = ",".join("".join(letters[n] for n in names) for names in inputs)
    text = f"{left}->{''.join(letters[n] for n in output)}"
    path, _ = package.contract_path(text, *shapes, shapes=True)
    return [tuple(places) for places in path]


def _distinct(x: Any, labels: Labels) -> tuple[Any, Labels]:
    """The operand with every label once: diagonals of those it has twice."""
    labels = list(labels)
    for label in dict.fromkeys(labels):
        while labels.count(label) > 1:
            first = labels.index(label)
            second = labels.index(label, first + 1)
            if x.shape[first] != x.shape[second]:
                raise ShapeError(f"einsum: {label!r} has sizes {x.shape[first]}, {x.shape[second]}")
            x = diagonal(x, offset=0, dim1=first, dim2=second)
            labels = [*labels[:first], *labels[first + 1 : second], *labels[second + 1 :], label]
    return x, labels


def _contract(x: Any, xs: Labels, y: Any, ys: Labels, later: set[str]) -> tuple[Any, Labels]:
    """Two operands as one. What only one of them has and nobody wants is summed first; what both
    have is the inner dim of a matmul if nobody wants it, else its batch."""

    def reduced(a: Any, names: Labels, others: Labels) -> tuple[Any, Labels]:
        gone = tuple(d for d, n in enumerate(names) if n not in others and n not in later)
        # A dim of size 1 that stretches over the other's is no inner dim either.
        return (
            (reductions.sum(a, dim=gone), [n for d, n in enumerate(names) if d not in gone])
            if gone
            else (a, names)
        )

    x, xs = reduced(x, xs, ys)
    y, ys = reduced(y, ys, xs)
    both = [n for n in xs if n in ys]
    size_x, size_y = dict(zip(xs, x.shape, strict=True)), dict(zip(ys, y.shape, strict=True))
    inner = [n for n in both if n not in later and size_x[n] == size_y[n]]
    pairs = _in_memory_order(x, y, [(xs.index(n), ys.index(n)) for n in inner])
    inner = [xs[d] for d, _ in pairs]
    stretched = [n for n in both if n not in later and n not in inner]
    batch = [n for n in both if n not in inner]
    (apart_x, only_x), (apart_y, only_y) = _apart(x, xs, both), _apart(y, ys, both)
    if math.prod(x.shape) >= math.prod(y.shape):  # one of them may well be copied
        apart_y, only_y = [], [*apart_y, *only_y]
    else:
        apart_x, only_x = [], [*apart_x, *only_x]
    if not inner:
        apart_x, only_x, apart_y, only_y = [], [*apart_x, *only_x], [], [*apart_y, *only_y]

    def arranged(a: Any, names: Labels, order: Labels) -> Any:
        dims = tuple(names.index(n) for n in order)
        return a if dims == tuple(range(len(dims))) else ops.permute(a, dims=dims)

    rows, columns = math.prod(size_x[n] for n in only_x), math.prod(size_y[n] for n in only_y)
    labels = [*batch, *apart_x, *apart_y, *only_x, *only_y]
    leading = [*batch, *apart_x, *apart_y]
    left, right = [size_x.get(n, 1) for n in leading], [size_y.get(n, 1) for n in leading]
    shape = [max(a, b) if a and b else 0 for a, b in zip(left, right, strict=True)]
    kept = (*shape, *(size_x[n] for n in only_x), *(size_y[n] for n in only_y))
    if inner:
        terms = math.prod(size_x[n] for n in inner)
        first = arranged(x, xs, [*batch, *apart_x, *only_x, *inner])
        first = ops.reshape(first, shape=(*left, rows, terms))
        second = arranged(y, ys, [*batch, *apart_y, *inner, *only_y])
        second = ops.reshape(second, shape=(*right, terms, columns))
        product = ops.reshape(_product(first, second), shape=kept)
    else:
        ones_x, ones_y = (1,) * len(only_x), (1,) * len(only_y)
        first = arranged(x, xs, [*batch, *only_x])
        second = arranged(y, ys, [*batch, *only_y])
        product = elementwise.mul(
            ops.reshape(first, shape=(*first.shape, *ones_y)),
            ops.reshape(second, shape=(*right, *ones_x, *second.shape[len(batch) :])),
        )
    gone = tuple(d for d, n in enumerate(labels) if n in stretched)
    if gone:
        product = reductions.sum(product, dim=gone)
        labels = [n for n in labels if n not in stretched]
    return product, labels


def _apart(x: Any, labels: Labels, both: Labels) -> tuple[Labels, Labels]:
    """An operand's own dims in order of memory: those that become one without a copy come last.

    The others may lead a batch of products, if each of those is large enough.
    """
    strides, sizes = (
        dict(zip(labels, _strides(x), strict=True)),
        dict(zip(labels, x.shape, strict=True)),
    )
    own = sorted((n for n in labels if n not in both), key=lambda n: -abs(strides[n]))
    last = max(len(own) - 1, 0)
    while last and strides[own[last - 1]] == strides[own[last]] * sizes[own[last]]:
        last -= 1
    large = math.prod(sizes[n] for n in own[last:]) >= 64
    return (own[:last], own[last:]) if large else ([], own)
