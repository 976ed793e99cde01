"""One contestant's process: reads jobs as JSON lines on stdin, answers each with a line on stdout.

{"op": "matmul", "sample": "1024", "dtype": "float32"}   prepare; has it the op?
{"seconds": 0.2}                                          run a block; times of calls

With "arrays" (their shapes) the sample need not be the spec's; "transposed" ones are views.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

WARM = 0.04  # seconds in which the scheduler spreads a library's threads over the cores again


def time_block(call: Callable[[], Any], seconds: float) -> list[float]:
    """Seconds per call, each measured over enough calls to last 20 microseconds, for one block."""
    end = time.perf_counter() + WARM
    while time.perf_counter() < end:
        call()
    begin = time.perf_counter()
    call()
    once = max(time.perf_counter() - begin, 1e-8)
    inner = max(1, int(20e-6 / once))
    times: list[float] = []
    end = time.perf_counter() + seconds
    while not times or (time.perf_counter() < end and len(times) < 10_000):
        begin = time.perf_counter()
        for _ in range(inner):
            call()
        times.append((time.perf_counter() - begin) / inner)
    return times


def _limit_threads(name: str, threads: int) -> None:
    import fastdl

    fastdl.set_num_threads(threads)
    if name.startswith("torch"):
        import torch

        torch.set_num_threads(threads)


def _sample(spec: Any, job: dict[str, Any]) -> Any:
    from ..spec import Sample

    if "arrays" in job:
        return Sample(job["sample"], tuple(map(tuple, job["arrays"])))
    return next(s for s in spec.samples if s.name == job["sample"])


def main(name: str, threads: int) -> None:
    """Answers jobs until stdin ends."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    # A library may print; only answers may reach the parent.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    from ..spec import OPS
    from .peers import modules

    module = modules()[name]
    _limit_threads(name, threads)
    call: Callable[[], Any] | None = None
    for line in sys.stdin:
        job = json.loads(line)
        answer: dict[str, Any]
        if "op" in job:
            sample = _sample(OPS[job["op"]], job)
            arrays = sample.build(np.random.default_rng(0), job["dtype"])
            turned = job.get("transposed", ())
            arrays = tuple(a.T.copy().T if i in turned else a for i, a in enumerate(arrays))
            try:
                options = dict(sample.options)
                call = module.contestant(name, job["op"], arrays, options, sample.channels_last)
                if call is not None:
                    call()
            except NotImplementedError:
                call = None
            answer = {"ready": call is not None}
        else:
            assert call is not None
            answer = {"times": time_block(call, job["seconds"])}
        answers.write(json.dumps(answer) + "\n")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
