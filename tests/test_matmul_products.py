"""einsum and the products by other names agree with torch, exactly on whole numbers."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from agreement import CONFIGS  # noqa: E402
from shape_agreement import compare, whole  # noqa: E402

import fastdl  # noqa: E402
import fastdl.functional as F  # noqa: E402
from fastdl import errors  # noqa: E402

SIZES = dict(zip("abcdefg", (2, 3, 4, 1, 5, 2, 0), strict=True))


def equation_of(rng):
    """A random equation over a few letters, and the shapes of its operands."""
    letters = list("abcde") if rng.random() < 0.9 else list("abcg")
    dots = tuple(int(n) for n in rng.integers(1, 4, rng.integers(0, 3)))
    inputs, shapes = [], []
    for _ in range(rng.integers(1, 4)):
        names = [str(c) for c in rng.choice(letters, rng.integers(0, 4))]
        shape = [SIZES[c] for c in names]
        if rng.random() < 0.3:
            at = int(rng.integers(0, len(names) + 1))
            kept = dots[int(rng.integers(0, len(dots) + 1)) :]
            own = [n if rng.random() < 0.7 else 1 for n in kept]
            names.insert(at, "...")
            shape[at:at] = own
        inputs.append("".join(names))
        shapes.append(tuple(shape))
    text = ",".join(inputs)
    if rng.random() < 0.3:
        return text, shapes
    every = sorted({c for c in text if c.isalpha()})
    chosen = [str(c) for c in rng.permutation(every)[: rng.integers(0, len(every) + 1)]]
    if "..." in text and rng.random() < 0.8:
        chosen.insert(int(rng.integers(0, len(chosen) + 1)), "...")
    return f"{text}->{''.join(chosen)}", shapes


@pytest.mark.parametrize("config", range(CONFIGS * 6))
def test_einsum(config):
    rng = np.random.default_rng(config)
    equation, shapes = equation_of(rng)
    arrays = [whole(rng, *shape) for shape in shapes]
    compare(lambda lib, *x: lib.einsum(equation, *x), *arrays)


@pytest.mark.parametrize(
    "equation, shapes",
    [
        ("ij,jk", [(3, 4), (4, 5)]),
        ("bij,bjk->bik", [(2, 3, 4), (2, 4, 5)]),
        ("bhid,bhjd->bhij", [(2, 3, 4, 5), (2, 3, 6, 5)]),
        ("ii->i", [(4, 4)]),
        ("ii", [(4, 4)]),
        ("i,j->ij", [(3,), (4,)]),
        ("ij->ji", [(3, 4)]),
        ("ij->", [(3, 4)]),
        ("...ij,...jk->...ik", [(2, 1, 3, 4), (5, 4, 2)]),
        ("b i , b j -> b i j", [(2, 3), (2, 4)]),
        ("nctkv,kvw->nctw", [(2, 3, 4, 2, 5), (2, 5, 5)]),
        ("i,i,i->i", [(3,), (3,), (3,)]),
        ("Ab,bC->AC", [(2, 3), (3, 4)]),
        (",i->i", [(), (3,)]),
        ("ijj,jk->ik", [(2, 3, 3), (3, 4)]),
        ("a,b,c,d->dcba", [(2,), (3,), (4,), (2,)]),
    ],
)
def test_known_equations(equation, shapes):
    rng = np.random.default_rng(0)
    compare(lambda lib, *x: lib.einsum(equation, *x), *(whole(rng, *s) for s in shapes))
    compare(
        lambda lib, *x: lib.einsum(equation, list(x)),
        *(whole(rng, *s, dtype=np.int64) for s in shapes),
    )


@pytest.mark.parametrize("config", range(CONFIGS))
def test_products(config):
    rng = np.random.default_rng(config)
    b, n, k, m = (int(i) for i in rng.integers(0 if config % 4 == 0 else 1, 6, 4))
    beta, alpha = (int(i) for i in rng.integers(0, 3, 2))

    def w(*shape):
        return whole(rng, *shape)

    compare(
        lambda lib, x, y: (lib.mm(x, y), lib.tensordot(x, y, 1), lib.matmul(x, y)), w(n, k), w(k, m)
    )
    compare(lambda lib, x, y: lib.bmm(x, y), w(b, n, k), w(b, k, m))
    compare(lambda lib, x, y: (lib.mv(x, y), lib.inner(x, y)), w(n, k), w(k))
    compare(lambda lib, x, y: (lib.dot(x, y), lib.vdot(x, y), lib.outer(x, y)), w(k), w(k))
    compare(lambda lib, x, y: lib.inner(x, y), w(b, n, k), w(m, k))
    compare(lambda lib, c, x, y: lib.addmm(c, x, y, beta=beta, alpha=alpha), w(m), w(n, k), w(k, m))
    compare(lambda lib, c, x, y: lib.addmv(c, x, y, beta=beta, alpha=alpha), w(n), w(n, k), w(k))
    compare(lambda lib, c, x, y: lib.addr(c, x, y, beta=beta, alpha=alpha), w(n, m), w(n), w(m))
    compare(
        lambda lib, c, x, y: lib.baddbmm(c, x, y, beta=beta, alpha=alpha),
        w(b, n, m),
        w(b, n, k),
        w(b, k, m),
    )
    compare(
        lambda lib, c, x, y: lib.addbmm(c, x, y, beta=beta, alpha=alpha),
        w(n, m),
        w(b, n, k),
        w(b, k, m),
    )
    compare(lambda lib, x, y: lib.tensordot(x, y, dims=([2, 0], [0, -1])), w(b, n, k), w(k, m, b))
    compare(lambda lib, x, y: lib.tensordot(x, y, dims=0), w(n), w(m, k))


def test_in_place_and_methods():
    c, x = fastdl.ones(2, 2), fastdl.ones(2, 2)
    assert c.addmm_(x, x).tolist() == [[3, 3], [3, 3]]
    assert x.mm(x).tolist() == [[2, 2], [2, 2]] and float(x[0].dot(x[0])) == 2
    assert x[0].outer(x[1]).shape == (2, 2) and x[None].bmm(x[None]).shape == (1, 2, 2)
    assert x.mv(x[0]).tolist() == [2, 2]


@pytest.mark.parametrize(
    "call, error",
    [
        (lambda x: F.einsum("ij,jk", x), errors.ArgumentError),
        (lambda x: F.einsum("i", x), errors.ArgumentError),
        (lambda x: F.einsum("ij->ik", x), errors.ArgumentError),
        (lambda x: F.einsum("ij->ii", x), errors.ArgumentError),
        (lambda x: F.einsum("i1->i", x), errors.ArgumentError),
        (lambda x: F.einsum(3, x), errors.DTypeError),
        (lambda x: F.einsum("ij,ij->i", x, x.T), errors.ShapeError),
        (lambda x: F.einsum("ii", x), errors.ShapeError),
        (lambda x: F.mm(x, x), errors.ShapeError),
        (lambda x: F.bmm(x, x), errors.ShapeError),
        (lambda x: F.mv(x, x), errors.ShapeError),
        (lambda x: F.dot(x[0], x), errors.ShapeError),
        (lambda x: F.tensordot(x, x, 1), errors.ShapeError),
        (lambda x: F.tensordot(x, x, 3), errors.ArgumentError),
        (lambda x: F.outer(x, x[0]), errors.ShapeError),
        (lambda x: F.inner(x, x.T), errors.ShapeError),
    ],
)
def test_refused(call, error):
    with pytest.raises(error):
        call(np.zeros((3, 4)))


@pytest.mark.parametrize(
    "equation, shapes",
    [
        ("bij,bkj->bik", [(2, 3, 4), (2, 5, 4)]),
        ("bqhd,bkhd->bhqk", [(2, 5, 3, 4), (2, 6, 3, 4)]),
        ("ji,jk->ki", [(4, 3), (4, 5)]),
        ("abc,dabe->cde", [(2, 3, 4), (6, 2, 3, 64)]),
        ("dabe,abc->ecd", [(6, 2, 3, 70), (2, 3, 4)]),
        ("abcd,bca->d", [(2, 3, 4, 5), (3, 4, 2)]),  # the smaller operand is copied
        ("nchw,oc->nohw", [(2, 3, 8, 9), (6, 3)]),
        ("oc,nchw->nohw", [(6, 3), (2, 3, 8, 9)]),
    ],
)
def test_contractions_copy_no_large_operand(equation, shapes, monkeypatch):
    from fastdl.ops import matmul as products

    seen = []
    plain = products.matmul
    monkeypatch.setattr(products, "matmul", lambda a, b: seen.append((a, b)) or plain(a, b))
    rng = np.random.default_rng(0)
    arrays = [rng.integers(-5, 6, s).astype(np.float64) for s in shapes]
    got = F.einsum(equation, *arrays)
    np.testing.assert_array_equal(got, np.einsum(equation, *arrays))
    largest = max(arrays, key=lambda a: a.size)
    ((a, b),) = seen
    assert np.shares_memory(a, largest) or np.shares_memory(b, largest)


@pytest.mark.parametrize("installed", [True, False])
def test_several_operands(installed, monkeypatch):
    """In opt_einsum's order, where that is installed; with the same result."""
    from fastdl.functional import matmul_products

    if installed:
        pytest.importorskip("opt_einsum")
    else:
        monkeypatch.setattr(matmul_products, "_opt_einsum", lambda: None)
    matmul_products._path.cache_clear()
    rng = np.random.default_rng(0)
    for equation, shapes in (
        ("ab,bc,cd,de->ea", [(3, 4), (4, 5), (5, 2), (2, 6)]),
        ("a,ab,b->", [(3,), (3, 4), (4,)]),
        ("...a,ab,...b->...", [(2, 1, 3), (3, 4), (5, 4)]),
        ("ab,cd,ef->fda", [(2, 3), (0, 4), (2, 2)]),
        ("aab,bc,a->c", [(3, 3, 4), (4, 2), (3,)]),
    ):
        arrays = [whole(rng, *s) for s in shapes]
        compare(lambda lib, *x, e=equation: lib.einsum(e, *x), *arrays)


def test_a_chain_is_taken_from_its_cheap_end():
    pytest.importorskip("opt_einsum")
    from fastdl.functional.matmul_products import _path

    shapes = ((50, 60), (60, 70), (70, 1))
    path = _path((("a", "b"), ("b", "c"), ("c", "d")), ("a", "d"), shapes)
    assert path[0] == (1, 2)
