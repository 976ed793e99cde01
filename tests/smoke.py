"""What must work on an installed wheel with nothing but its dependencies; run in a copy."""

import subprocess
import sys

import numpy as np

import fastdl
import fastdl.functional as F
from fastdl import check, nn, optim


def test_a_step_learns():
    fastdl.manual_seed(0)
    rng = np.random.default_rng(0)
    net = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(64, 3)
    )
    x = fastdl.Tensor(rng.standard_normal((12, 1, 8, 8)).astype(np.float32))
    y = rng.integers(0, 3, 12)
    optimizer = optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    losses = []
    for _ in range(30):
        optimizer.zero_grad()
        loss = F.cross_entropy(net(x), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.1 * losses[0]


def test_native_runs_it():
    a = np.arange(6, dtype=np.float32).reshape(2, 3)
    assert fastdl.explain("matmul", a, a.T).backend == "native"
    assert np.array_equal(F.matmul(a, a.T), a @ a.T)


def test_the_judge_tells_right_from_wrong(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text("import numpy as np\nright = np.abs\ndef wrong(x): return x\n")
    for function, status in (("right", 0), ("wrong", 1)):
        outcome = check.check("abs", f"{file}:{function}", mode="quick", seed=4)
        assert check.status(outcome) == status


def test_the_command_is_there():
    out = subprocess.run(
        [sys.executable, "-m", "fastdl", "info"], capture_output=True, text=True, check=True
    )
    assert "instruction set" in out.stdout
