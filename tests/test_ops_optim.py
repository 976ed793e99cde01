"""sgd_step agrees with torch.optim.SGD over several steps, and writes in place when asked."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from agreement import assert_within, bounds, central_differences, close, normal  # noqa: E402

from fastdl import Tensor, errors, grad  # noqa: E402
from fastdl.spec import OPS  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::fastdl.core.errors.FallbackWarning")
sgd_step = OPS["sgd_step"]

CASES = [
    {"lr": 0.1},
    {"lr": 0.1, "weight_decay": 0.01},
    {"lr": 0.1, "maximize": True, "weight_decay": 0.01},
    {"lr": 0.1, "momentum": 0.9},
    {"lr": 0.1, "momentum": 0.9, "dampening": 0.5},
    {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01},
    {"lr": 0.1, "momentum": 0.9, "maximize": True},
]


def run(options, dtype, p, gradients):
    """Our steps, each with torch's result of that very step and the bound of ours."""
    buf = None
    for g in gradients:
        inputs = (p, g, buf)
        got = sgd_step(*inputs, **options)
        p, buf = got if isinstance(got, tuple) else (got, None)
        yield inputs, (p, buf)


def torch_step(inputs, options):
    """One step of torch.optim.SGD in float64 from the given state."""
    p, g, buf = (None if a is None else torch.tensor(a.astype(np.float64)) for a in inputs)
    leaf = torch.nn.Parameter(p)
    leaf.grad = g
    optimizer = torch.optim.SGD([leaf], **options)
    if buf is not None:
        optimizer.state[leaf]["momentum_buffer"] = buf
    optimizer.step()
    return leaf.detach().numpy(), optimizer.state[leaf].get("momentum_buffer")


@pytest.mark.parametrize("options", CASES, ids=str)
def test_steps(options):
    for dtype in (np.float32, np.float64):
        p = normal(5, 33, dtype=dtype)
        gradients = [normal(5, 33, seed=i, dtype=dtype) for i in range(3)]
        for inputs, (got_p, got_buf) in run(options, dtype, p, gradients):
            want_p, want_buf = torch_step(inputs, options)
            limits = [2 * np.asarray(b) for b in bounds("sgd_step", inputs, options)]
            assert got_p.dtype == dtype
            assert_within(got_p, want_p, limits[0])
            if got_buf is not None:
                assert_within(got_buf, want_buf.numpy(), limits[1])


def test_in_place():
    p, g, buf = normal(33), normal(33, seed=1), normal(33, seed=2)
    options = {"lr": 0.1, "momentum": 0.9}
    want = sgd_step(p, g, buf, **options)
    got = sgd_step(p, g, buf, out=(p, buf), **options)
    assert got[0] is p and got[1] is buf
    for a, b in zip(got, want, strict=True):
        np.testing.assert_array_equal(a, b)


def test_no_decay_of_an_infinite_parameter():
    """0·∞ would be NaN: without weight decay the parameter does not enter the direction."""
    assert sgd_step(np.array([np.inf]), np.array([1.0]), lr=0.1)[0] == np.inf


@pytest.mark.parametrize("options", CASES, ids=str)
def test_gradients(options):
    arrays = [
        normal(4, seed=i, dtype=np.float64) for i in range(2 + (options.get("momentum", 0) > 0))
    ]
    upstream = normal(4, seed=9, dtype=np.float64)

    def new_parameter(*inputs):
        result = sgd_step(*inputs, **options)
        return result[0] if isinstance(result, tuple) else result

    leaves = [Tensor(a, requires_grad=True) for a in arrays]
    found = grad(new_parameter(*leaves), leaves, Tensor(upstream))
    for f, n in zip(found, central_differences(new_parameter, arrays, upstream, {}), strict=True):
        close(f.numpy(), n, 1e-9)


def test_declared_errors():
    for bad in sgd_step.bad_inputs:
        args, options = bad.call()
        with pytest.raises(bad.error, match="sgd_step"):
            sgd_step(*args, **options)


def test_torch_refuses_the_same_options():
    for options in ({"lr": -1.0}, {"lr": 0.1, "momentum": -0.1}, {"lr": 0.1, "weight_decay": -1.0},
                    {"lr": 0.1, "nesterov": True},
                    {"lr": 0.1, "momentum": 0.9, "dampening": 0.1, "nesterov": True}):  # fmt: skip
        with pytest.raises(ValueError):
            torch.optim.SGD([torch.zeros(1, requires_grad=True)], **options)
        with pytest.raises(errors.ArgumentError):
            sgd_step(normal(1), normal(1), **options)
