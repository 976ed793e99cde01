"""An op of one's own, with a kernel in the same file: y = a·x² + x."""

import numpy as np

import fastdl
from fastdl.spec import Cost, Out, Plan, Sample, op


def _shape(x, a=1.0):
    return Plan((Out(x.shape, x.dtype),), (x,), {"a": float(a)})


def _reference(x, a):
    return a * x * x + x


op(
    name="square_plus",
    signature="x; a -> y",
    family="mine",
    shape=_shape,
    reference=_reference,
    bound=lambda case: tuple(
        4 * case.unit * (abs(case.options["a"]) * x * x + np.abs(x)) + 4 * case.tiny
        for x in case.arrays[:1]
    ),
    cost=lambda x, a: Cost(3 * x.size, 2 * x.nbytes),
    samples=[
        Sample("one", ((1,),)),
        Sample("some", ((3, 17),), {"a": 0.5}),
        Sample("none", ((0, 2),)),
    ],
    dtypes=("float32", "float64"),
)


@fastdl.kernel("square_plus", backend="mine", dtypes=("float32",))
def declared(x, a):
    """The kernel that the file declares."""
    return (np.float32(a) * x) * x + x


def plain(x, a=1.0):
    """A kernel by its name."""
    return np.float32(a) * x * x + x


def wrong(x, a=1.0):
    """Forgets a."""
    return x * x + x
