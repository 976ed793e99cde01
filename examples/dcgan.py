"""A DCGAN (Radford et al. 2016) learns to draw clothes or digits, in some minutes on two cores.

    python examples/dcgan.py                     # Fashion-MNIST, or MNIST-5k where that is missing
    python examples/dcgan.py --data mnist5k --steps 500 --output pictures

Writes dcgan_samples.png (one row a stage of the training, the same noise in each) and
dcgan_losses.png. Torch code but for its imports.
"""

import argparse
import time
from pathlib import Path

import numpy as np

import fastdl as torch
from fastdl import data, nn, optim
from fastdl.data import DataLoader, TensorDataset

NOISE = 64


def generator(width):
    """noise [N, 64, 1, 1] -> images [N, 1, 28, 28] between -1 and 1."""
    return nn.Sequential(
        nn.ConvTranspose2d(NOISE, 2 * width, 7, bias=False),
        nn.BatchNorm2d(2 * width),
        nn.ReLU(),
        nn.ConvTranspose2d(2 * width, width, 4, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(),
        nn.ConvTranspose2d(width, 1, 4, stride=2, padding=1),
        nn.Tanh(),
    )


def discriminator(width):
    """images [N, 1, 28, 28] -> logits [N, 1, 1, 1]: is it a real one?"""
    return nn.Sequential(
        nn.Conv2d(1, width, 4, stride=2, padding=1),
        nn.LeakyReLU(0.2),
        nn.Conv2d(width, 2 * width, 4, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(2 * width),
        nn.LeakyReLU(0.2),
        nn.Conv2d(2 * width, 1, 7),
    )


def initialise(module):
    """The paper's initial weights: normal with deviation 0.02."""
    if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
        nn.init.normal_(module.weight, 0.0, 0.02)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)


def images(name):
    """float32[N, 1, 28, 28] between -1 and 1."""
    x, _ = data.fashion_mnist() if name == "fashion" else data.mnist5k()
    return x[:, None].astype(np.float32) / 127.5 - 1


def batches(loader):
    """The loader's batches, epoch after epoch."""
    while True:
        for (real,) in loader:
            yield real


def train(x, steps, batch, width, seed, stages=6):
    """Returns the losses of both nets at each step, and the samples at some stages."""
    torch.manual_seed(seed)
    loader = DataLoader(TensorDataset(torch.from_numpy(x)), batch, shuffle=True, drop_last=True)
    draw, judge = generator(width).apply(initialise), discriminator(width).apply(initialise)
    draw_optimizer = optim.Adam(draw.parameters(), lr=4e-4, betas=(0.5, 0.999))
    judge_optimizer = optim.Adam(judge.parameters(), lr=4e-4, betas=(0.5, 0.999))
    loss = nn.BCEWithLogitsLoss()
    yes, no = torch.ones(batch), torch.zeros(batch)
    same_noise = torch.randn(12, NOISE, 1, 1)
    shown = set(np.geomspace(steps / 32, steps, stages).astype(int).tolist())
    losses, samples, begin = [], [], time.perf_counter()
    for step, real in zip(range(1, steps + 1), batches(loader), strict=False):
        fake = draw(torch.randn(batch, NOISE, 1, 1))
        judge_optimizer.zero_grad()
        of_real = loss(judge(real).flatten(), yes)
        of_fake = loss(judge(fake.detach()).flatten(), no)
        (of_real + of_fake).backward()
        judge_optimizer.step()

        draw_optimizer.zero_grad()
        fooled = loss(judge(fake).flatten(), yes)
        fooled.backward()
        draw_optimizer.step()

        losses.append((of_real.item() + of_fake.item(), fooled.item()))
        if step in shown:
            draw.eval()
            with torch.no_grad():
                samples.append(draw(same_noise).numpy()[:, 0])
            draw.train()
            recent = np.mean(losses[-100:], 0)
            print(
                f"step {step}/{steps}: discriminator {recent[0]:.3f}, generator {recent[1]:.3f},"
                f" {time.perf_counter() - begin:.0f} s",
                flush=True,
            )
    return np.array(losses), np.array(samples)


def draw_pictures(losses, samples, folder):
    """Writes the samples and the losses as PNG files."""
    from matplotlib.figure import Figure
    from PIL import Image  # matplotlib needs it too

    rows, columns = samples.shape[:2]
    picture = samples.transpose(0, 2, 1, 3).reshape(rows * 28, columns * 28)
    pixels = np.rint(picture * 127.5 + 127.5).astype(np.uint8).repeat(2, 0).repeat(2, 1)
    Image.fromarray(pixels).save(folder / "dcgan_samples.png", optimize=True)

    figure = Figure(figsize=(6, 3), layout="constrained")
    axes = figure.subplots()
    window = max(1, len(losses) // 100)
    for values, name in zip(losses.T, ("discriminator", "generator"), strict=True):
        smooth = np.convolve(values, np.ones(window) / window, "valid")
        axes.plot(np.arange(len(smooth)) + window, smooth, label=name)
    axes.axhline(2 * np.log(2), color="gray", lw=0.8, label="a discriminator that cannot tell")
    axes.set(xlabel="step", ylabel=f"loss (mean of {window} steps)", ylim=(0, None))
    axes.legend(fontsize=8)
    figure.savefig(folder / "dcgan_losses.png", dpi=75)


def main(argv=None):
    """Runs the example; returns the losses and the samples."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", choices=("fashion", "mnist5k"))
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--width", type=int, default=48, help="channels of the widest maps")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=Path("."), help="folder for the pictures")
    parser.add_argument("--smoke", action="store_true", help="a few steps on random images")
    options = parser.parse_args(argv)
    if options.smoke:
        x = np.random.default_rng(0).uniform(-1, 1, (64, 1, 28, 28)).astype(np.float32)
        options.steps, options.batch, options.width = 3, 8, 4
    elif options.data:
        x = images(options.data)
    else:
        try:
            x = images("fashion")
        except FileNotFoundError as error:
            print(f"{error}; MNIST-5k it is")
            x = images("mnist5k")
    losses, samples = train(x, options.steps, options.batch, options.width, options.seed)
    options.output.mkdir(parents=True, exist_ok=True)
    draw_pictures(losses, samples, options.output)
    print(f"pictures in {options.output.resolve()}")
    return losses, samples


if __name__ == "__main__":
    main()
