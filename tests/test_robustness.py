"""Forks, threads, Ctrl-C, memory: what long-running programs do to a library."""

import gc
import os
import subprocess
import sys
import textwrap
import threading
import tracemalloc

import numpy as np

import fastdl
import fastdl.functional as F
from fastdl import _native, nn, optim


def test_a_thousand_children_compute_and_exit():
    """Fork after the pool was used: every child computes in parallel and leaves."""
    code = textwrap.dedent("""
        import os, signal, time
        import numpy as np
        import fastdl.functional as F
        a = np.random.default_rng(0).standard_normal((160, 160)).astype(np.float32)
        expected = F.matmul(a, a)
        for _ in range(1000):
            pid = os.fork()
            if pid == 0:
                os._exit(0 if np.array_equal(F.matmul(a, a), expected) else 1)
            deadline = time.monotonic() + 30
            done = 0
            while not done:
                done, status = os.waitpid(pid, os.WNOHANG)
                if time.monotonic() > deadline:
                    os.kill(pid, signal.SIGKILL)
                    raise SystemExit("a child hung")
            assert status == 0
        assert np.array_equal(F.matmul(a, a), expected)
        print("fine")
    """)
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=True
    )
    assert out.stdout.strip() == "fine"


def test_eight_python_threads():
    """8 threads x 1000 calls, each with its own data and its own expected bits."""
    wrong = []

    def work(seed):
        rng = np.random.default_rng(seed)
        a = rng.standard_normal((33, 47)).astype(np.float32)
        x = rng.standard_normal((2, 3, 9, 9)).astype(np.float32)
        w = rng.standard_normal((4, 3, 3, 3)).astype(np.float32)
        expected = F.matmul(a, a.T), F.conv2d(x, w, padding=1), F.exp(a), F.sum(x)
        for _ in range(250):
            got = F.matmul(a, a.T), F.conv2d(x, w, padding=1), F.exp(a), F.sum(x)
            if not all(np.array_equal(g, e) for g, e in zip(got, expected, strict=True)):
                wrong.append(seed)
                return

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(timeout=120)
        assert not t.is_alive()
    assert not wrong


def test_ctrl_c_in_a_long_matmul():
    """A matmul of many seconds gives way within 200 ms of the signal, and works again after it."""
    code = textwrap.dedent("""
        import os, signal, threading, time
        import numpy as np
        import fastdl, fastdl.functional as F
        a = np.ones((9000, 9000), np.float32)
        sent = []
        def interrupt():
            time.sleep(0.4)
            sent.append(time.perf_counter())
            os.kill(os.getpid(), signal.SIGINT)
        threading.Thread(target=interrupt).start()
        try:
            while True:
                F.matmul(a, a)
        except KeyboardInterrupt:
            late = time.perf_counter() - sent[0]
        assert F.matmul(a[:3, :3], a[:3, :3])[0, 0] == 3
        print(late)
    """)
    for threads in ("1", "2"):
        env = {**os.environ, "FASTDL_NUM_THREADS": threads}
        out = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            timeout=120,
            env=env,
            check=True,
        )
        assert float(out.stdout) < 0.2


def train_once(net, optimizer, x, y):
    optimizer.zero_grad()
    loss = F.cross_entropy(net(x), y)
    loss.backward()
    optimizer.step()


def test_ten_thousand_calls_leave_memory_flat():
    a = np.ones((20, 20), np.float32)
    x = np.ones((1, 2, 8, 8), np.float32)
    w = np.ones((3, 2, 3, 3), np.float32)

    def calls(n):
        for _ in range(n):
            F.matmul(a, a)
            F.conv2d(x, w)
            F.max_pool2d(x, 2)
            F.exp(a)
            F.sum(a, 0)

    calls(50)
    counts = [sys.getrefcount(v) for v in (a, x, w)]
    gc.collect()
    tracemalloc.start()
    base = tracemalloc.get_traced_memory()[0]
    in_use = _native.memory_stats()["in_use"]
    calls(2000)
    gc.collect()
    grown = tracemalloc.get_traced_memory()[0] - base
    tracemalloc.stop()
    assert [sys.getrefcount(v) for v in (a, x, w)] == counts
    assert _native.memory_stats()["in_use"] == in_use
    assert grown < 20_000


def test_training_leaves_memory_flat():
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(72, 4))
    optimizer = optim.SGD(net.parameters(), lr=0.01, momentum=0.9)
    x = fastdl.Tensor(np.ones((3, 1, 8, 8), np.float32))
    y = np.zeros(3, np.int64)
    for _ in range(20):
        train_once(net, optimizer, x, y)
    gc.collect()
    objects = len(gc.get_objects())
    in_use = _native.memory_stats()["in_use"]
    gc.disable()  # what is left without the collector's help is a cycle
    try:
        for _ in range(200):
            train_once(net, optimizer, x, y)
        assert len(gc.get_objects()) <= objects + 50
    finally:
        gc.enable()
    assert _native.memory_stats()["in_use"] <= in_use + 1024


def test_training_repeats_bit_for_bit():
    def run(threads):
        fastdl.manual_seed(3)
        with fastdl.num_threads(threads):
            net = nn.Sequential(
                nn.Conv2d(1, 8, 3, padding=1),
                nn.ReLU(),
                nn.MaxPool2d(2),
                nn.Flatten(),
                nn.Linear(512, 5),
            )
            optimizer = optim.SGD(net.parameters(), lr=0.05, momentum=0.9, nesterov=True)
            rng = np.random.default_rng(0)
            x = fastdl.Tensor(rng.standard_normal((16, 1, 16, 16)).astype(np.float32))
            y = rng.integers(0, 5, 16)
            for _ in range(5):
                train_once(net, optimizer, x, y)
        return [p.numpy().tobytes() for p in net.parameters()]

    first = run(1)
    assert all(run(t) == first for t in (1, 2, 3, 5))
