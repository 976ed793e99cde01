"""A small GPT reads Shakespeare character by character, in some minutes on two cores.

    python examples/char_transformer.py
    python examples/char_transformer.py --steps 200 --text my_corpus.txt

Its loss on held-out text stands beside that text's own unigram and bigram entropies, which no model
of single letters, or of pairs of neighbours, can beat. Ends with a sample of its writing and writes
char_transformer.png. Torch code but for its imports.
"""

import argparse
import math
import time
from pathlib import Path

import numpy as np

import fastdl as torch
from fastdl import data, nn, optim

F = nn.functional


class Attention(nn.Module):
    """Each place of x [N, T, D] looks at itself and at those before it."""

    def __init__(self, width, heads, dropout):
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x):
        """[N, T, D] -> [N, T, D]."""
        n, t, d = x.shape
        q, k, v = (
            part.view(n, t, self.heads, d // self.heads).transpose(1, 2)
            for part in self.qkv(x).split(d, dim=2)
        )
        dropout = self.dropout if self.training else 0.0
        y = F.scaled_dot_product_attention(q, k, v, dropout_p=dropout, is_causal=True)
        return self.out(y.transpose(1, 2).reshape(n, t, d))


class Block(nn.Module):
    """Attention, then two linear layers at each place, both added to what came in."""

    def __init__(self, width, heads, dropout):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = Attention(width, heads, dropout)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width),
            nn.GELU(),
            nn.Linear(4 * width, width),
            nn.Dropout(dropout),
        )

    def forward(self, x):
        """[N, T, D] -> [N, T, D]."""
        x = x + self.attention(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class GPT(nn.Module):
    """Characters [N, T] -> logits of each one's successor [N, T, characters]."""

    def __init__(self, characters, context, width, heads, layers, dropout=0.0):
        super().__init__()
        self.context = context
        self.token = nn.Embedding(characters, width)
        self.place = nn.Embedding(context, width)
        self.blocks = nn.Sequential(*(Block(width, heads, dropout) for _ in range(layers)))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, characters, bias=False)
        self.apply(self._initialise)
        for block in self.blocks:  # what is added to the stream starts small (GPT-2)
            for layer in (block.attention.out, block.mlp[2]):
                nn.init.normal_(layer.weight, 0.0, 0.02 / math.sqrt(2 * layers))

    def _initialise(self, module):
        if isinstance(module, (nn.Linear, nn.Embedding)):
            nn.init.normal_(module.weight, 0.0, 0.02)
        if isinstance(module, nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)

    def forward(self, tokens):
        """Logits of the next character at each place."""
        x = self.token(tokens) + self.place(torch.arange(tokens.shape[1]))
        return self.head(self.norm(self.blocks(x)))

    def write(self, tokens, length, temperature=0.8):
        """Continues tokens [N, T] by `length` characters, drawn from its own distribution."""
        self.eval()
        with torch.no_grad():
            for _ in range(length):
                logits = self(tokens[:, -self.context :])[:, -1] / temperature
                # The largest of logits with Gumbel noise is a draw from their softmax.
                noise = -torch.log(-torch.log(torch.rand(logits.shape)))
                drawn = (logits + noise).argmax(dim=-1, keepdim=True)
                tokens = torch.cat([tokens, drawn], dim=1)
        self.train()
        return tokens


def entropies(codes):
    """The unigram and the bigram (conditional) entropy of a text, in nats a character."""

    def entropy(counts):
        p = counts[counts > 0] / counts.sum()
        return -(p * np.log(p)).sum()

    pairs = np.bincount(codes[:-1] * 256 + codes[1:])
    return entropy(np.bincount(codes)), entropy(pairs) - entropy(np.bincount(codes[:-1]))


def rate(step, steps, peak):
    """Linear warm-up over a tenth of the steps, then half a cosine down to a tenth."""
    warm = steps / 10
    if step < warm:
        return peak * (step + 1) / warm
    return peak * (0.55 + 0.45 * math.cos(math.pi * (step - warm) / (steps - warm)))


def held_out_loss(model, codes, batch):
    """Nats a character of a text the model has not seen, cut into contexts."""
    starts = np.arange(0, len(codes) - model.context, model.context)
    losses = []
    model.eval()
    with torch.no_grad():
        for i in range(0, len(starts), batch):
            x, y = windows(codes, starts[i : i + batch], model.context)
            total = F.cross_entropy(model(x).flatten(0, 1), y.flatten(), reduction="sum")
            losses.append(total.item())
    model.train()
    return sum(losses) / (len(starts) * model.context)


def windows(codes, starts, length):
    """Inputs and targets int64[N, length] of the text at some places."""
    at = starts[:, None] + np.arange(length)
    return torch.from_numpy(codes[at]), torch.from_numpy(codes[at + 1])


def train(codes, held_out, model, steps, batch, peak, seed):
    """Returns the losses of the steps, and (step, held-out loss) at some of them."""
    rng = np.random.default_rng(seed)
    decayed = [p for p in model.parameters() if p.dim() > 1]
    others = [p for p in model.parameters() if p.dim() <= 1]
    groups = [{"params": decayed, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}]
    optimizer = optim.AdamW(groups, lr=peak, betas=(0.9, 0.95))
    losses, measured, begin = [], [], time.perf_counter()
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = rate(step, steps, peak)
        x, y = windows(codes, rng.integers(0, len(codes) - model.context, batch), model.context)
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x).flatten(0, 1), y.flatten())
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
        if (step + 1) % max(1, steps // 10) == 0:
            measured.append((step + 1, held_out_loss(model, held_out, batch)))
            print(
                f"step {step + 1}/{steps}: training {np.mean(losses[-50:]):.3f}, held-out"
                f" {measured[-1][1]:.3f}, {time.perf_counter() - begin:.0f} s",
                flush=True,
            )
    return losses, measured


def draw_picture(losses, measured, lines, path):
    """Writes the losses, and the entropies they have to beat, as a PNG file."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3.2), layout="constrained")
    axes = figure.subplots()
    axes.plot(np.arange(1, len(losses) + 1), losses, lw=0.6, color="C0", label="training")
    axes.plot(*zip(*measured, strict=True), "o-", ms=3, color="C1", label="held out")
    for (name, value), style in zip(lines.items(), ("--", ":"), strict=True):
        axes.axhline(value, color="gray", ls=style, label=name)
    axes.set(xlabel="step", ylabel="nats a character")
    axes.legend(fontsize=8)
    figure.savefig(path, dpi=75)


def main(argv=None):
    """Runs the example; returns the held-out loss and the unigram and bigram entropies."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--text", type=Path, help="another text than Shakespeare's works")
    parser.add_argument("--steps", type=int, default=1200)
    parser.add_argument("--batch", type=int, default=24)
    parser.add_argument("--context", type=int, default=96)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=Path("."), help="folder for the picture")
    parser.add_argument("--smoke", action="store_true", help="a few steps on a made-up text")
    options = parser.parse_args(argv)
    if options.smoke:
        text = "the quick brown fox jumps over the lazy dog. " * 60
        options.steps, options.batch, options.context, options.width = 4, 4, 16, 16
    else:
        text = options.text.read_text() if options.text else data.shakespeare()
    characters = sorted(set(text))
    codes = np.searchsorted(np.array(characters), np.array(list(text)))
    cut = int(len(codes) * 0.99)
    codes, held_out = codes[:cut], codes[cut:]
    unigram, bigram = entropies(held_out)
    torch.manual_seed(options.seed)
    model = GPT(len(characters), options.context, options.width, 4, options.layers)
    print(
        f"{len(codes):,} characters to read, {len(held_out):,} held out, {len(characters)}"
        f" different; {sum(p.numel() for p in model.parameters()):,} parameters"
    )
    losses, measured = train(
        codes, held_out, model, options.steps, options.batch, 2e-3, options.seed
    )
    loss = measured[-1][1]
    print(
        f"held-out loss {loss:.3f} nats a character;"
        f" the text's unigram entropy is {unigram:.3f}, its bigram entropy {bigram:.3f}"
    )
    start = torch.from_numpy(codes[None, :1] * 0)  # a line feed, the first in order
    written = model.write(start, 20 if options.smoke else 400)
    print("".join(characters[i] for i in written[0].tolist()))
    options.output.mkdir(parents=True, exist_ok=True)
    lines = {"unigram entropy": unigram, "bigram entropy": bigram}
    draw_picture(losses, measured, lines, options.output / "char_transformer.png")
    return loss, unigram, bigram


if __name__ == "__main__":
    main()
