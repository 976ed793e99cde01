"""The examples run: a few steps of each, on made-up data."""

import runpy
from pathlib import Path

import numpy as np
import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"


@pytest.fixture
def run(tmp_path):
    pytest.importorskip("matplotlib")

    def call(name):
        main = runpy.run_path(str(EXAMPLES / f"{name}.py"))["main"]
        return main(["--smoke", "--output", str(tmp_path)])

    yield call
    for path in tmp_path.iterdir():
        assert path.read_bytes()[:4] == b"\x89PNG"


def test_dcgan(run, tmp_path):
    losses, samples = run("dcgan")
    assert losses.shape == (3, 2) and np.isfinite(losses).all()
    assert samples.shape[1:] == (12, 28, 28) and np.abs(samples).max() <= 1
    assert {p.name for p in tmp_path.iterdir()} == {"dcgan_samples.png", "dcgan_losses.png"}


def test_char_transformer(run, tmp_path, capsys):
    loss, unigram, bigram = run("char_transformer")
    assert np.isfinite(loss) and 0 < bigram < unigram < np.log(28)
    assert f"held-out loss {loss:.3f}" in capsys.readouterr().out
    assert {p.name for p in tmp_path.iterdir()} == {"char_transformer.png"}
