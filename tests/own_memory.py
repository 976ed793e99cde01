"""Running a kernel with every array flush against a page that may not be touched."""

import numpy as np

from fastdl.core.memory import empty, memory_mode
from fastdl.dispatch import make_plan
from fastdl.spec import OPS


def run_guarded(name, mode):
    """All small samples of an op on its native kernel; a byte too far kills the process."""

    def guarded(a, last):
        if not isinstance(a, np.ndarray):
            return a
        b = empty(a.shape, a.dtype, last and a.ndim == 4)
        b[...] = a
        return b

    kernel = OPS[name].kernels("native")[0]
    for sample in OPS[name].samples:
        for dtype in ("float32", "float64") if not sample.bench else ():
            with memory_mode(mode, 0xFF):
                arrays = sample.build(np.random.default_rng(0), dtype)
                arrays = tuple(guarded(a, sample.channels_last) for a in arrays)
                plan = make_plan(OPS[name], arrays, dict(sample.options))
                kernel.fn(*plan.arrays, **plan.options)
