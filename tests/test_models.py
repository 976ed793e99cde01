"""Ordinary torch model code runs here by changing its imports, and computes the same.

Each file of tests/models is torch code. It is run as it is, under torch, and once more with
`torch` replaced in its import lines; both models get the same state_dict and the same inputs. In
float64, loss and gradients may differ by what two orders of summation do: 2⁻⁴⁰ of the largest
element leaves 12 bits for the condition of networks this small.
"""

import re
import types
from pathlib import Path

import numpy as np
import pytest

import fastdl

torch = pytest.importorskip("torch")

FILES = sorted((Path(__file__).parent / "models").glob("*.py"))
IMPORTS = (
    (r"^import torch$", "import fastdl as torch"),
    (r"^import torch\.", "import fastdl."),
    (r"^from torch\b", "from fastdl"),
)


def as_fastdl(source):
    for pattern, replacement in IMPORTS:
        source = re.sub(pattern, replacement, source, flags=re.MULTILINE)
    return source


def load(path, convert):
    module = types.ModuleType(path.stem)
    exec(compile(convert(path.read_text()), str(path), "exec"), module.__dict__)
    return module


def close(ours, theirs, name):
    scale = abs(theirs).max(initial=0)
    worst = abs(ours - theirs).max(initial=0)
    assert worst <= 2.0**-40 * scale, f"{name}: differs by {worst:.3g} of {scale:.3g}"


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_a_torch_model_file_computes_the_same(path):
    torch.manual_seed(0)
    theirs = load(path, lambda source: source)
    ours = load(path, as_fastdl)
    their_model, our_model = theirs.make().double(), ours.make().double()
    assert list(our_model.state_dict()) == list(their_model.state_dict())
    our_model.load_state_dict(their_model.state_dict())

    arrays = theirs.inputs(np.random.default_rng(0))
    their_loss = theirs.loss(their_model, *map(torch.from_numpy, arrays))
    our_loss = ours.loss(our_model, *map(fastdl.from_numpy, arrays))
    their_loss.backward()
    our_loss.backward()
    close(our_loss.detach().numpy(), their_loss.detach().numpy(), "loss")
    gradients = dict(their_model.named_parameters())
    largest = max(abs(p.grad).max().item() for p in gradients.values())
    for name, parameter in our_model.named_parameters():
        a, b = parameter.grad.numpy(), gradients[name].grad.numpy()
        assert a.shape == b.shape, name
        # A bias before a normalisation has a gradient of exactly 0, of which rounding leaves some.
        worst = abs(a - b).max(initial=0)
        assert worst <= 2.0**-40 * largest, f"{name}: {worst:.3g} of {largest:.3g}"
    for name, value in their_model.state_dict().items():
        # Running statistics, now updated: a mean near 0 is one of activations of order 1.
        worst = abs(our_model.state_dict()[name].numpy() - value.numpy()).max(initial=0)
        assert worst <= 2.0**-40 * max(1, abs(value.numpy()).max(initial=0)), name

    their_model.eval()
    our_model.eval()
    with torch.no_grad(), fastdl.no_grad():
        close(
            ours.loss(our_model, *map(fastdl.from_numpy, arrays)).numpy(),
            theirs.loss(their_model, *map(torch.from_numpy, arrays)).numpy(),
            "evaluation loss",
        )


def test_generated_text_is_the_same():
    torch.manual_seed(1)
    path = Path(__file__).parent / "models/mingpt.py"
    theirs, ours = load(path, lambda source: source), load(path, as_fastdl)
    their_model, our_model = theirs.make().double(), ours.make().double()
    our_model.load_state_dict(their_model.state_dict())
    start = np.array([[1, 2, 3]])
    a = our_model.generate(fastdl.from_numpy(start), 15, top_k=5)
    b = their_model.generate(torch.from_numpy(start), 15, top_k=5)
    np.testing.assert_array_equal(a.numpy(), b.numpy())
