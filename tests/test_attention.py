"""Attention against torch over random calls, its layers, and what hidden keys may hold."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from agreement import BETWEEN_LIBRARIES, CONFIGS, close  # noqa: E402
from network_agreement import both, layout  # noqa: E402

import fastdl  # noqa: E402
import fastdl.functional as F  # noqa: E402
from fastdl import errors, nn  # noqa: E402

TF = torch.nn.functional
# torch's modules warn of mixed kinds of masks and of what keeps them off their fast paths.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


@pytest.mark.parametrize("seed", range(2 * CONFIGS))
def test_scaled_dot_product_attention(seed):
    rng = np.random.default_rng([seed, 1])
    lead = tuple(map(int, rng.integers(1, 4, rng.integers(1, 3))))
    n, m, e, d = (int(rng.integers(1, k)) for k in (60, 150, 9, 9))
    q, k, v = (layout(rng, rng.standard_normal((*lead, *s))) for s in ((n, e), (m, e), (m, d)))
    options = {"is_causal": bool(rng.integers(2))}
    if rng.random() < 0.5:
        options["scale"] = float(rng.random())
    kind = rng.integers(4)
    shape = [(n, m), (1, m), (*lead[:1], *(1,) * (len(lead) - 1), n, m)][rng.integers(3)]
    arrays = [q, k, v]
    if kind == 1:
        mask = rng.random(shape) < 0.7
        options["attn_mask"] = mask
    elif kind == 2:
        arrays.append(rng.standard_normal(shape))
        # torch takes a learnt bias on its slow path, which refuses is_causal beside a mask
        options["is_causal"] = False

    def ours(q, k, v, bias=None):
        given = dict(options)
        if "attn_mask" in given:
            given["attn_mask"] = fastdl.Tensor(given["attn_mask"])
        return F.scaled_dot_product_attention(q, k, v, **{"attn_mask": bias, **given})

    def theirs(q, k, v, bias=None):
        given = dict(options)
        if "attn_mask" in given:
            mask = torch.from_numpy(given["attn_mask"])
            if given.pop("is_causal"):
                mask = mask & torch.ones(n, m, dtype=torch.bool).tril()
            given["attn_mask"] = mask
        return TF.scaled_dot_product_attention(q, k, v, **{"attn_mask": bias, **given})

    both(ours, theirs, arrays, seed, second=False)


def composed(q, k, v):
    scores = q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5
    hidden = torch.ones(scores.shape[-2:], dtype=torch.bool).triu(1)
    return torch.softmax(scores.masked_fill(hidden, -torch.inf), -1) @ v


def test_second_gradients():
    rng = np.random.default_rng(2)
    arrays = [rng.standard_normal((2, 5, 3)) for _ in range(3)]
    both(lambda *a: F.scaled_dot_product_attention(*a, is_causal=True), composed, arrays, 1, True)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_dropout_is_replayed(dtype):
    """With the values as unknowns attention is linear: forward and backward drop the same."""
    rng = np.random.default_rng(3)
    q, k, v, g = (rng.standard_normal((2, 3, 70, 4)).astype(dtype) for _ in range(4))
    t = fastdl.Tensor(v, requires_grad=True)
    fastdl.manual_seed(1)
    y = F.scaled_dot_product_attention(fastdl.Tensor(q), fastdl.Tensor(k), t, dropout_p=0.3)
    y.backward(g)
    left, right = (
        np.sum(y.detach().numpy() * g, dtype=float),
        np.sum(t.grad.numpy() * v, dtype=float),
    )
    size = np.sum(np.abs(t.grad.numpy() * v), dtype=float)
    assert abs(left - right) <= 200 * np.finfo(dtype).eps * size
    fastdl.manual_seed(1)
    again = F.scaled_dot_product_attention(q, k, v, dropout_p=0.3)
    assert np.array_equal(again, y.detach().numpy())
    plain = F.scaled_dot_product_attention(q, k, v)
    assert not np.allclose(again, plain)


def test_hidden_keys_may_hold_anything():
    rng = np.random.default_rng(4)
    q, k, v = (rng.standard_normal((2, 40, 8)).astype(np.float32) for _ in range(3))
    clean = F.scaled_dot_product_attention(q[:, :30], k[:, :30], v[:, :30])
    k[:, 30:], v[:, 30:] = np.nan, np.inf
    seen = np.arange(40) < 30
    tensors = [fastdl.Tensor(a, requires_grad=True) for a in (q[:, :30].copy(), k, v)]
    y = F.scaled_dot_product_attention(*tensors, attn_mask=fastdl.Tensor(seen[None]))
    np.testing.assert_allclose(y.detach().numpy(), clean, rtol=1e-4, atol=1e-5)
    y.sum().backward()
    assert all(np.isfinite(t.grad.numpy()).all() for t in tensors)
    blind = F.scaled_dot_product_attention(q, q, q, attn_mask=np.zeros((40, 40), bool))
    assert not blind.any()


def test_grouped_queries_and_broadcast():
    rng = np.random.default_rng(5)
    q, k, v = (rng.standard_normal((2, h, 7, 4)) for h in (6, 2, 2))
    both(lambda *a: F.scaled_dot_product_attention(*a, enable_gqa=True),
         lambda *a: TF.scaled_dot_product_attention(*a, enable_gqa=True), [q, k, v])  # fmt: skip
    both(F.scaled_dot_product_attention, TF.scaled_dot_product_attention,
         [q, k[:, :1], v[:, :1]])  # fmt: skip
    with pytest.raises(errors.ShapeError, match="heads"):
        F.scaled_dot_product_attention(q, k[:, :1], np.concatenate([v, v], 1), enable_gqa=True)


# --- layers ------------------------------------------------------------------------------------


def copied(mine, peer, seed=0):
    """One state in both, by name; float64."""
    rng = np.random.default_rng(seed)
    mine.double(), peer.double()
    assert list(mine.state_dict()) == list(peer.state_dict())
    state = {k: rng.standard_normal(v.shape) * 0.3 for k, v in peer.state_dict().items()}
    mine.load_state_dict(state)
    peer.load_state_dict({k: torch.from_numpy(v) for k, v in state.items()})
    return mine, peer


def parameters_agree(mine, peer):
    for (name, a), (_, b) in zip(mine.named_parameters(), peer.named_parameters(), strict=True):
        if b.grad is not None:
            close(a.grad.numpy(), b.grad.numpy(), 64 * BETWEEN_LIBRARIES), name


@pytest.mark.parametrize("seed", range(2 * CONFIGS))
def test_multihead_attention(seed):
    rng = np.random.default_rng([seed, 6])
    heads, size, n, m, batch = (int(rng.integers(1, 5)) for _ in range(5))
    width = heads * size
    options = {"bias": bool(rng.integers(2)), "batch_first": bool(rng.integers(2))}
    itself, single = bool(rng.integers(2)), rng.random() < 0.3
    kdim = vdim = width
    if not itself and rng.random() < 0.5:
        kdim, vdim = options["kdim"], options["vdim"] = 3, 5
    mine, peer = copied(nn.MultiheadAttention(width, heads, **options),
                        torch.nn.MultiheadAttention(width, heads, **options), seed)  # fmt: skip
    m = n if itself else m

    def shape(length, w):
        if single:
            return (length, w)
        return (batch, length, w) if options["batch_first"] else (length, batch, w)

    call = {"need_weights": bool(rng.integers(2)), "average_attn_weights": bool(rng.integers(2))}
    masks = {}
    if rng.random() < 0.5:
        masks["key_padding_mask"] = np.arange(m) >= rng.integers(
            1, m + 1, () if single else (batch, 1)
        )
    if rng.random() < 0.5:
        masks["attn_mask"] = np.arange(m) > np.arange(n)[:, None]
        if rng.random() < 0.5:
            masks["attn_mask"] = rng.standard_normal((n, m))
    arrays = [rng.standard_normal(shape(n, width))]
    if not itself:
        arrays += [rng.standard_normal(shape(m, w)) for w in (kdim, vdim)]

    def run(module, convert):
        def function(*a):
            a = a * 3 if itself else a
            given = {name: convert(x) for name, x in masks.items()}
            y, weights = module(*a, **given, **call)
            return y if weights is None else y.sum() + (weights * weights).sum()

        return function

    both(run(mine, fastdl.Tensor), run(peer, torch.from_numpy), arrays, seed)
    parameters_agree(mine, peer)


@pytest.mark.parametrize("seed", range(CONFIGS))
def test_transformer(seed):
    rng = np.random.default_rng([seed, 7])
    options = {
        "d_model": 8, "nhead": 2, "num_encoder_layers": int(rng.integers(1, 3)),
        "num_decoder_layers": int(rng.integers(1, 3)), "dim_feedforward": 12, "dropout": 0.0,
        "activation": str(rng.choice(["relu", "gelu"])), "batch_first": bool(rng.integers(2)),
        "norm_first": bool(rng.integers(2)), "bias": bool(rng.integers(2)),
    }  # fmt: skip
    mine, peer = copied(nn.Transformer(**options), torch.nn.Transformer(**options), seed)
    n, m, batch = 5, 4, 3
    shapes = [(batch, n, 8), (batch, m, 8)]
    arrays = [rng.standard_normal(s if options["batch_first"] else (s[1], s[0], 8)) for s in shapes]
    causal = np.where(np.tri(m, dtype=bool), 0.0, -np.inf)
    padding = np.arange(n) >= rng.integers(1, n + 1, (batch, 1))
    hint = bool(rng.integers(2))

    def run(module, convert):
        masks = {"tgt_mask": convert(causal)}
        if seed % 2:
            masks["src_key_padding_mask"] = masks["memory_key_padding_mask"] = convert(padding)
        return lambda *a: module(*a, tgt_is_causal=hint, **masks)

    both(run(mine, fastdl.Tensor), run(peer, torch.from_numpy), arrays, seed)
    parameters_agree(mine, peer)
    made = nn.Transformer.generate_square_subsequent_mask(m)
    assert np.array_equal(made.numpy(), causal.astype(np.float32))


def test_encoder_stack_in_training():
    layer = nn.TransformerEncoderLayer(8, 2, 16, 0.5)
    stack = nn.TransformerEncoder(layer, 2, nn.LayerNorm(8))
    assert stack.layers[0].linear1.weight is not stack.layers[1].linear1.weight
    x = fastdl.randn(4, 3, 8, requires_grad=True)
    y = stack(x)
    y.sum().backward()
    assert np.isfinite(x.grad.numpy()).all()
    assert not np.array_equal(y.detach().numpy(), stack(x).detach().numpy())
    stack.eval()
    assert np.array_equal(stack(x).detach().numpy(), stack(x).detach().numpy())


def test_errors():
    with pytest.raises(errors.ArgumentError, match="num_heads"):
        nn.MultiheadAttention(5, 2)
    with pytest.raises(errors.UnsupportedError, match="add_bias_kv"):
        nn.MultiheadAttention(4, 2, add_bias_kv=True)
    with pytest.raises(errors.ArgumentError, match="activation"):
        nn.TransformerEncoderLayer(4, 2, activation="tanh")
    with pytest.raises(errors.ShapeError):
        nn.MultiheadAttention(4, 2)(*[fastdl.ones(4)] * 3)
