"""What the judge says of results that have the right values in the wrong form."""

import numpy as np
import pytest

from fastdl.check import replay
from fastdl.check.aspects import planned
from fastdl.check.judge import Case
from fastdl.spec import OPS, Sample


def case_of(op, arrays, channels_last=False):
    sample = Sample("", arrays, channels_last=channels_last)
    spec = OPS[op]
    plan = planned(spec, sample.build(np.random.default_rng(0), "float32"), sample)
    return Case(spec, plan)


def in_format(y, channels_last):
    axes = (0, 2, 3, 1) if channels_last else (0, 1, 2, 3)
    return np.ascontiguousarray(y.transpose(axes)).transpose(np.argsort(axes))


@pytest.mark.parametrize("planned_last", [False, True])
@pytest.mark.parametrize("op", ["conv2d", "relu"])
def test_memory_format(op, planned_last):
    """An image in another format than planned is refused, from our own kernels."""
    case = case_of(op, ((2, 3, 5, 4), (3, 3, 2, 2))[: 1 + (op == "conv2d")], planned_last)
    right = case.spec(*case.plan.arrays, **case.plan.options)
    assert case.judge(in_format(right, planned_last)).passed
    other = in_format(right, not planned_last)
    assert case.judge(other, layout=False).passed
    if planned_last and not case.plan.outputs[0].channels_last:
        return  # nothing planned: NCHW will do
    verdict = case.judge(other)
    assert f"want {'channels-last' if planned_last else 'NCHW'}" in verdict.why


def test_wrong_shape_dtype_and_type():
    case = case_of("relu", ((2, 3),))
    right = np.maximum(case.plan.arrays[0], 0)
    assert "shape (3, 2), want (2, 3)" in case.judge(right.T).why
    assert "dtype float64, want float32" in case.judge(right.astype(np.float64)).why
    assert "returned list" in case.judge(right.tolist()).why
    assert "returned 2 outputs, want 1" in case.judge((right, right)).why


def test_a_derivative_of_zero_is_not_judged_by_rounding():
    """The target drawn with this seed is 0, and the loss constant: its differences are noise."""
    sample = next(s for s in OPS["hinge_embedding_loss"].samples if s.name == "one")
    assert replay("hinge_embedding_loss", sample, "float64", "differences", 4276180191,
                  kernel="reference")  # fmt: skip
