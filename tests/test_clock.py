"""A stranger's time is the judge's, and what cannot be is refused."""

from pathlib import Path

import pytest

from fastdl import check
from fastdl.bench.roofline import Roofline
from fastdl.check import clock
from fastdl.check.client import Answer
from fastdl.check.judge import Verdict
from fastdl.spec import OPS

HERE = Path(__file__).parent / "strangers"


def times(fresh=10.0, seen=10.0, idle=1.0, own=9.0):
    """Times of calls, in milliseconds."""
    parts = (fresh, idle, own, fresh, seen, idle)
    return clock.Times(*([part * 1e-3, part * 1.01e-3] * 3 for part in parts))


def test_ordinary_times_are_believed():
    assert times().refusal(floor=8e-3) == ""
    assert times(fresh=1.0).refusal(floor=1e-5) == ""  # too little work to say anything


def test_more_work_than_the_peaks_allow_is_refused():
    why = times(own=8.0).refusal(floor=100e-3)
    assert why == "faster than this machine can be: 9 ms, where its peaks allow 100 ms"


def test_a_fast_algorithm_is_believed():
    assert times().refusal(floor=30e-3) == ""


def test_kept_answers_are_refused():
    assert "keeps its answers: 9 ms, but 5" in times(seen=1.5).refusal(floor=1e-3)


@pytest.mark.parametrize("own", [0.0, 0.5, 3.0])
def test_a_clock_that_differs_from_the_judges_is_refused(own):
    assert "its clock says" in times(own=own).refusal(floor=1e-3)


def refusal(kernel, seed=4):
    """What the judge holds against a matmul."""
    outcome = check.check("matmul", f"{HERE / kernel}", mode="quick", seed=seed)
    return "\n".join(map(str, outcome.failures))


def test_a_kernel_that_keeps_its_answers_is_refused():
    # On a machine busy with other things a run may have to time too small a sample to tell.
    assert any(
        "refused: keeps its answers" in refusal("cheats.py:memoises", seed) for seed in range(4)
    )


def test_a_kernel_quicker_than_the_machine_is_refused(monkeypatch):
    slow = Roofline({"float32": 1e6}, [(1, 1e6)])
    monkeypatch.setattr(clock, "peaks", lambda: slow)
    clock.peaks.cache_clear = lambda: None
    assert "refused: faster than this machine can be" in refusal("honest.py:einsum")


def test_the_time_of_a_call_is_told():
    outcome = check.check("matmul", f"{HERE / 'honest.py'}:einsum", mode="quick", seed=4)
    (tally,) = outcome.tallies.values()
    assert "float32; the machine's peaks allow" in tally.took


@pytest.mark.parametrize("seconds, turns", [(0.6, 1), (0.3, clock.TURNS)])
def test_a_slow_call_is_timed_in_one_turn_and_judged_in_it(seconds, turns, monkeypatch):
    spec, verdicts = OPS["relu"], []
    sample = spec.samples[0]
    monkeypatch.setattr(clock, "MOST_OF_TURNS", 0)  # as few turns as may be

    class Subject:
        seed = 4

        def call(self, plan, sample, way=None):
            idle = way is not None and way.idle
            return Answer(seconds=0.0 if idle else seconds, cpu_seconds=0.0)

        def verdict(self, case, answer):
            verdicts.append(answer)
            return Verdict(why="wrong")

    subject = Subject()
    subject.spec = spec
    times, verdict = clock._timed(subject, sample, "float32")
    assert len(times.fresh) == turns and len(verdicts) == 1
    assert verdict.why == "wrong"
