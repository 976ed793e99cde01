"""Training steps of whole networks beside torch's: forward, loss, backward, optimiser.

    python bench/bench_steps.py [resnet18 lstm_tagger mingpt ...] [--threads 1,2] [--json FILE]

The networks are the torch files of tests/models at real sizes, run as they are under torch and with
`torch` replaced in their imports under fastdl, from one state_dict and one batch; those of images
in both memory formats. Each contestant has a process of its own; they take turns, the median of all
steps is reported, and the ratio is of the best of each library. A step of fastdl that runs anything
on the reference is an error. The three ops that took longest are named.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import time
import types
import warnings
from collections import Counter
from pathlib import Path

import numpy as np

MODELS = Path(__file__).parent.parent / "tests/models"


def resnet18(m, nn):
    rng = np.random.default_rng(0)
    batch = rng.normal(size=(8, 3, 224, 224)).astype("f4"), rng.integers(0, 1000, 8)
    return m.resnet18(), batch, lambda o, p: o.SGD(p, lr=0.01, momentum=0.9, weight_decay=1e-4)


def lstm_tagger(m, nn):
    rng = np.random.default_rng(0)
    model = m.Tagger(vocabulary=10_000, tags=45, embedding_dim=128, hidden_dim=256)
    batch = rng.integers(1, 10_000, (32, 50)), rng.integers(0, 45, (32, 50))
    return model, batch, lambda o, p: o.Adam(p, lr=1e-3)


def mingpt(m, nn):
    rng = np.random.default_rng(0)
    config = m.Config(vocab_size=512, block_size=128, n_layer=4, n_head=4, n_embd=256)
    tokens = rng.integers(0, 512, (8, 129))
    return m.GPT(config), (tokens[:, :-1].copy(), tokens[:, 1:].copy()), lambda o, p: o.AdamW(p)


def vgg(m, nn):
    rng = np.random.default_rng(0)
    batch = rng.normal(size=(64, 3, 32, 32)).astype("f4"), rng.integers(0, 10, 64)
    return m.make(), batch, lambda o, p: o.SGD(p, lr=0.01)


def mobilenet(m, nn):
    rng = np.random.default_rng(0)
    plan = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1))
    batch = rng.normal(size=(8, 3, 160, 160)).astype("f4"), rng.integers(0, 10, 8)
    model = m.MobileNetV2(plan=plan)
    model.classifier[0].p = 0.0  # masks come from each library's own generator
    return model, batch, lambda o, p: o.SGD(p, lr=0.01)


def unet(m, nn):
    rng = np.random.default_rng(0)
    batch = rng.normal(size=(4, 2, 128, 128)).astype("f4"), rng.random((4, 1, 128, 128)) < 0.5
    return m.make(), (batch[0], batch[1].astype("f4")), lambda o, p: o.Adam(p)


def gru_seq2seq(m, nn):
    rng = np.random.default_rng(0)
    batch = rng.integers(0, 5000, (32, 20)), rng.integers(0, 4000, (32, 20))
    return m.Seq2Seq(5000, 4000, 128), batch, lambda o, p: o.Adam(p)


def vit(m, nn):
    rng = np.random.default_rng(0)
    model = m.ViT(image=64, patch=8, dim=192, depth=4, heads=3)
    return (
        model,
        (rng.normal(size=(16, 3, 64, 64)).astype("f4"), rng.integers(0, 10, 16)),
        (lambda o, p: o.AdamW(p)),
    )


FILES = {"resnet18": "resnet"}
IMAGES = ("resnet18", "mobilenet", "unet")  # vgg views a map as rows, which NHWC does not allow
LAST = " channels-last"
STEPS = {
    f.__name__: f for f in (resnet18, lstm_tagger, mingpt, vgg, mobilenet, unet, gru_seq2seq, vit)
}


# --- one library's process ------------------------------------------------------------------------


def load(name, library):
    path = MODELS / f"{FILES.get(name, name)}.py"
    source = path.read_text()
    if library == "fastdl":
        source = re.sub(r"^import torch$", "import fastdl as torch", source, flags=re.M)
        source = re.sub(r"^(import|from) torch\b", r"\1 fastdl", source, flags=re.M)
    module = types.ModuleType(name)
    sys.modules[name] = module  # dataclasses look their module up
    exec(compile(source, str(path), "exec"), module.__dict__)
    return module


def prepare(name, contestant, state_file, threads):
    library = contestant.removesuffix(LAST)
    if library == "fastdl":
        import fastdl as lib
        from fastdl.core.errors import FallbackWarning

        warnings.simplefilter("error", FallbackWarning)
    else:
        import torch as lib
    lib.set_num_threads(threads)
    lib.manual_seed(0)
    module = load(name, library)
    model, batch, make_optimizer = STEPS[name](module, lib.nn)
    if contestant == "torch":
        np.savez(state_file, **{k: v.numpy() for k, v in model.state_dict().items()})
    else:
        state = {k: lib.from_numpy(v) for k, v in np.load(state_file).items()}
        model.load_state_dict(state)
    tensors = [lib.from_numpy(a) for a in batch]
    if contestant != library:
        model = model.to(memory_format=lib.channels_last)
        tensors = [
            t.contiguous(memory_format=lib.channels_last) if t.ndim == 4 else t for t in tensors
        ]
    optimizer = make_optimizer(lib.optim, model.parameters())

    def step():
        optimizer.zero_grad()
        loss = module.loss(model, *tensors)
        loss.backward()
        optimizer.step()
        return float(loss.detach())

    return step


def slowest_ops(step):
    """Seconds of a step spent in each op, calls within an op not counted to it."""
    from fastdl.spec import OpSpec

    totals, inner = Counter(), [0.0]
    original = OpSpec.__call__

    def timed(self, *arrays, **options):
        inner.append(0.0)
        begin = time.perf_counter()
        try:
            return original(self, *arrays, **options)
        finally:
            took = time.perf_counter() - begin
            totals[self.name] += took - inner.pop()
            inner[-1] += took

    OpSpec.__call__ = timed
    begin = time.perf_counter()
    step()
    whole = time.perf_counter() - begin
    OpSpec.__call__ = original
    return {"step": whole, "ops": dict(totals.most_common(8))}


def worker(name, contestant, state_file, threads):
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    step = prepare(name, contestant, state_file, threads)
    answers.write(json.dumps({"losses": [step() for _ in range(3)]}) + "\n")
    for line in sys.stdin:
        seconds = json.loads(line)
        if seconds is None:
            answers.write(json.dumps(slowest_ops(step)) + "\n")
            continue
        times, end = [], time.perf_counter() + seconds
        while not times or time.perf_counter() < end:
            begin = time.perf_counter()
            step()
            times.append(time.perf_counter() - begin)
        answers.write(json.dumps(times) + "\n")


# --- the race -------------------------------------------------------------------------------------


class Contestant:
    def __init__(self, name, library, state_file, threads):
        names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "FASTDL_NUM_THREADS")
        self.process = subprocess.Popen(
            [sys.executable, __file__, "--worker", name, library, state_file, str(threads)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={**os.environ, **dict.fromkeys(names, str(threads))},
        )  # fmt: skip
        self.losses = self.answer()["losses"]

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit("a contestant died; its message is above")
        return json.loads(line)

    def ask(self, job):
        self.process.stdin.write(json.dumps(job) + "\n")
        self.process.stdin.flush()
        return self.answer()

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def race(name, threads, turns=5, seconds=1.0):
    state_file = f"/tmp/fastdl-steps-{os.getpid()}.npz"
    try:
        formats = ("", LAST) if name in IMAGES else ("",)
        names = [library + layout for library in ("torch", "fastdl") for layout in formats]
        teams = {each: Contestant(name, each, state_file, threads) for each in names}
    finally:
        Path(state_file).unlink(missing_ok=True)
    for each, team in teams.items():
        for a, b in zip(teams["torch"].losses, team.losses, strict=True):
            # float32, several steps: the same network, not the same bits
            if not abs(a - b) <= 1e-2 * abs(a):
                raise SystemExit(f"{name}: the losses differ: torch {a}, {each} {b}")
    from fastdl.bench import QUIET

    times = {library: [] for library in teams}
    for _ in range(turns):
        for library, team in teams.items():
            time.sleep(QUIET)
            times[library] += team.ask(seconds)
    medians = {each: float(np.median(t)) for each, t in times.items()}
    best = {
        library: min((n for n in names if n.startswith(library)), key=medians.__getitem__)
        for library in ("torch", "fastdl")
    }
    profile = teams[best["fastdl"]].ask(None)
    for team in teams.values():
        team.close()
    row = {"step": name, "threads": threads, "results": {}, "profile": profile}
    for library, t in times.items():
        low, median, high = np.percentile(t, (25, 50, 75))
        row["results"][library] = {"median": median, "low": low, "high": high, "steps": len(t)}
    ratio = medians[best["torch"]] / medians[best["fastdl"]]
    shown = "  ".join(f"{each} {t * 1e3:.1f} ms" for each, t in medians.items())
    slowest = list(profile["ops"].items())[:3]
    print(
        f"{name:<14}{threads} thread(s)  {shown}  best to best {ratio:5.2f}  slowest: "
        + ", ".join(f"{op} {t / profile['step']:.0%}" for op, t in slowest),
        flush=True,
    )
    return row


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("steps", nargs="*", default=list(STEPS), help=", ".join(STEPS))
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--json")
    args = parser.parse_args()
    unknown = [s for s in args.steps if s not in STEPS]
    if unknown:
        parser.error(f"unknown step {unknown[0]!r}; the steps are {', '.join(STEPS)}")
    counts = [int(t) for t in args.threads.split(",")]
    rows = [race(name, threads) for threads in counts for name in args.steps]
    if args.json:
        from fastdl.bench import circumstances, peers

        facts = circumstances(peers.choose(["torch"]))
        facts["command"] = "python bench/bench_steps.py " + " ".join(sys.argv[1:])
        Path(args.json).write_text(json.dumps({**facts, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--worker"]:
        worker(*sys.argv[2:5], int(sys.argv[5]))
    else:
        main()
