"""Gradients against central differences of the float64 reference."""

import numpy as np

import fastdl
from fastdl.spec import OPS


def check_gradients(name, arrays, step=1e-6, **options):
    """Every vjp of an op, by one random projection of the output and one direction per array.

    The ops checked here are linear in each array, so a central difference has no truncation error:
    what is left is rounding, about the unit over the step, relative to the terms.
    """
    spec, rng = OPS[name], np.random.default_rng(len(name))
    with fastdl.use_backend("reference"):
        tensors = [None if a is None else fastdl.Tensor(a, requires_grad=True) for a in arrays]
        y = spec(*tensors, **options)
        y = y[0] if isinstance(y, tuple) else y
        upstream = rng.standard_normal(y.shape)
        y.backward(upstream)

        def project(changed):
            y = spec(*changed, **options)
            return np.vdot(upstream, y[0] if isinstance(y, tuple) else y)

        for i, a in enumerate(arrays):
            if a is None or tensors[i].grad is None:
                continue
            direction = rng.standard_normal(a.shape)
            moved = [list(arrays), list(arrays)]
            moved[0][i], moved[1][i] = a + step * direction, a - step * direction
            difference = (project(moved[0]) - project(moved[1])) / (2 * step)
            got = np.vdot(tensors[i].grad.numpy(), direction)
            size = np.abs(upstream).sum() * max(1.0, np.abs(np.asarray(y.detach())).max(initial=0))
            assert abs(got - difference) <= 100 * 2.0**-53 / step * size, (name, i, got, difference)


def check_second(name, arrays, **options):
    """Second derivatives: the first gradients, differentiated once more.

    Takes s = Σ_i <v_i, dy/da_i>, a function of arrays and upstream gradient, and compares ds with
    its central difference; `create_graph=True` makes the tape record the backward pass.
    """
    spec, rng = OPS[name], np.random.default_rng(len(name))
    with fastdl.use_backend("reference"):
        probe = spec(*arrays, **options)
        upstream = np.asarray(rng.standard_normal(probe.shape))
        vectors = [rng.standard_normal(a.shape) for a in arrays]

        def first(inputs, graph):
            tensors = [fastdl.Tensor(a, requires_grad=True) for a in inputs]
            *a, g = tensors
            grads = fastdl.grad(spec(*a, **options), a, g, create_graph=graph, allow_unused=True)
            total = None
            for v, d in zip(vectors, grads, strict=True):
                if d is not None:
                    part = fastdl.sum(fastdl.mul(d, fastdl.Tensor(v)))
                    total = part if total is None else fastdl.add(total, part)
            return tensors, total

        inputs = [*arrays, upstream]
        tensors, total = first(inputs, graph=True)
        total.backward()
        step = 1e-6
        for i, a in enumerate(inputs):
            direction = rng.standard_normal(a.shape)
            plus, minus = list(inputs), list(inputs)
            plus[i] = np.asarray(a + step * direction)
            minus[i] = np.asarray(a - step * direction)
            high, low = (float(first(x, graph=False)[1].item()) for x in (plus, minus))
            want = (high - low) / (2 * step)
            grad = tensors[i].grad
            got = 0.0 if grad is None else np.vdot(grad.numpy(), direction)
            size = max(1.0, abs(high)) * a.size
            assert abs(got - want) <= 1000 * 2.0**-53 / step * size, (name, i, got, want)
