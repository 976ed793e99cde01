"""Recurrent networks against torch over random configurations, and what specs cannot say.

Agreement is in float64, where torch is no judge but a second defendant: values and gradients to
2⁻⁴⁰ of the largest one (`agreement.BETWEEN_LIBRARIES`), after some hundred terms and ten steps. The
kernels' own errors are held to the specs' bounds by tests/test_specs.py, and here for float32.
"""

import numpy as np
import pytest

import fastdl
import fastdl.functional as F
from fastdl import _native, errors, nn
from fastdl.backends.reference import rnn as reference
from fastdl.check import aspects
from fastdl.check.judge import Case
from fastdl.core.config import num_threads
from fastdl.nn.utils import rnn as packing
from fastdl.spec import OPS

torch = pytest.importorskip("torch")
agreement = pytest.importorskip("agreement")

KINDS = ("RNN_TANH", "RNN_RELU", "LSTM", "GRU")


def pair(rng, kind, dtype, **options):
    """A torch module and ours with its parameters."""
    make = {"RNN_TANH": "RNN", "RNN_RELU": "RNN"}.get(kind, kind)
    if make == "RNN":
        options["nonlinearity"] = kind[4:].lower()
    theirs = getattr(torch.nn, make)(**options).to(getattr(torch, dtype))
    ours = getattr(nn, make)(**options, dtype=dtype)
    assert [n for n, _ in ours.named_parameters()] == [n for n, _ in theirs.named_parameters()]
    ours.load_state_dict(theirs.state_dict())
    return theirs, ours


def configuration(rng, kind):
    hidden = int(rng.integers(1, 20))
    options = {
        "input_size": int(rng.integers(1, 9)),
        "hidden_size": hidden,
        "num_layers": int(rng.integers(1, 4)),
        "bias": bool(rng.random() < 0.7),
        "batch_first": bool(rng.random() < 0.5),
        "bidirectional": bool(rng.random() < 0.5),
    }
    if kind == "LSTM" and hidden > 1 and rng.random() < 0.4:
        options["proj_size"] = int(rng.integers(1, hidden))
    return options


def states(rng, kind, options, batch):
    layers = options["num_layers"] * (1 + options["bidirectional"])
    lead = (layers,) if batch is None else (layers, batch)
    sizes = [options.get("proj_size") or options["hidden_size"]]
    sizes += [options["hidden_size"]] if kind == "LSTM" else []
    return [rng.standard_normal((*lead, size)) for size in sizes]


def strided(rng, x):
    """The same numbers, at times behind strides that are not C's."""
    choice = rng.integers(3)
    if choice == 0:
        return np.asfortranarray(x)
    if choice == 1:
        return np.repeat(x, 2, axis=-1)[..., ::2]
    return x


def leaves(arrays):
    ours = [fastdl.Tensor(a, requires_grad=True) for a in arrays]
    return ours, [torch.tensor(np.array(a), requires_grad=True) for a in arrays]


def compare(rng, got, want, our_leaves, their_leaves):
    """Outputs, and the gradients of a random projection of them, agree."""
    for a, b in zip(got, want, strict=True):
        agreement.close(a.detach().numpy(), b.detach().numpy(), agreement.BETWEEN_LIBRARIES)
    upstream = [rng.standard_normal(tuple(a.shape)) for a in got]
    ours = fastdl.grad(got, our_leaves, [fastdl.Tensor(g) for g in upstream], allow_unused=True)
    theirs = torch.autograd.grad(
        want, their_leaves, [torch.tensor(g) for g in upstream], allow_unused=True
    )
    for a, b in zip(ours, theirs, strict=True):
        if b is not None:
            agreement.close(a.numpy(), b.numpy(), agreement.BETWEEN_LIBRARIES)


@pytest.mark.parametrize("kind", KINDS)
def test_networks_agree_with_torch(kind):
    rng = np.random.default_rng(KINDS.index(kind))
    for _ in range(agreement.CONFIGS):
        options = configuration(rng, kind)
        theirs, ours = pair(rng, kind, "float64", **options)
        steps, batch = int(rng.integers(1, 11)), int(rng.integers(1, 15))
        if rng.random() < 0.2:
            batch = None
        shape = (steps,) if batch is None else (steps, batch)
        shape = shape[::-1] if options["batch_first"] else shape
        x = strided(rng, rng.standard_normal((*shape, options["input_size"])))
        hx = states(rng, kind, options, batch) if rng.random() < 0.6 else []
        (tx, *th), (ux, *uh) = leaves([x, *hx])[0], leaves([x, *hx])[1]
        got = ours(tx, (tuple(th) if kind == "LSTM" else th[0]) if th else None)
        want = theirs(ux, (tuple(uh) if kind == "LSTM" else uh[0]) if uh else None)
        flat_got = (got[0], *got[1]) if kind == "LSTM" else got
        flat_want = (want[0], *want[1]) if kind == "LSTM" else want
        compare(rng, flat_got, flat_want, [tx, *th, *ours.parameters()],
                [ux, *uh, *theirs.parameters()])  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_packed_sequences_agree_with_torch(kind):
    rng = np.random.default_rng(10 + KINDS.index(kind))
    theirs_rnn = torch.nn.utils.rnn
    for _ in range(agreement.CONFIGS):
        options = configuration(rng, kind)
        theirs, ours = pair(rng, kind, "float64", **options)
        lengths = rng.integers(1, 9, int(rng.integers(1, 8)))
        sort = bool(rng.random() < 0.5)
        if sort:
            lengths = np.sort(lengths)[::-1].copy()
        first = options["batch_first"]
        shape = (len(lengths), lengths.max()) if first else (lengths.max(), len(lengths))
        x = rng.standard_normal((*shape, options["input_size"]))
        hx = states(rng, kind, options, len(lengths)) if rng.random() < 0.5 else []
        (tx, *th), (ux, *uh) = leaves([x, *hx])[0], leaves([x, *hx])[1]
        packed = packing.pack_padded_sequence(tx, lengths, first, sort)
        packed_t = theirs_rnn.pack_padded_sequence(ux, torch.tensor(lengths), first, sort)
        np.testing.assert_array_equal(packed.batch_sizes.numpy(), packed_t.batch_sizes.numpy())
        y, last = ours(packed, (tuple(th) if kind == "LSTM" else th[0]) if th else None)
        y_t, last_t = theirs(packed_t, (tuple(uh) if kind == "LSTM" else uh[0]) if uh else None)
        padding = {"padding_value": -1.5, "total_length": int(lengths.max()) + 2}
        y, n = packing.pad_packed_sequence(y, first, **padding)
        y_t, n_t = theirs_rnn.pad_packed_sequence(y_t, first, **padding)
        np.testing.assert_array_equal(n.numpy(), n_t.numpy())
        got = (y, *last) if kind == "LSTM" else (y, last)
        want = (y_t, *last_t) if kind == "LSTM" else (y_t, last_t)
        compare(rng, got, want, [tx, *th, *ours.parameters()], [ux, *uh, *theirs.parameters()])


@pytest.mark.parametrize("name", ["RNNCell", "LSTMCell", "GRUCell"])
def test_cells_agree_with_torch(name):
    rng = np.random.default_rng(20)
    for _ in range(agreement.CONFIGS):
        options = {"bias": bool(rng.random() < 0.6)}
        if name == "RNNCell":
            options["nonlinearity"] = str(rng.choice(["tanh", "relu"]))
        inputs, hidden = int(rng.integers(1, 9)), int(rng.integers(1, 40))
        theirs = getattr(torch.nn, name)(inputs, hidden, **options).double()
        ours = getattr(nn, name)(inputs, hidden, **options, dtype="float64")
        ours.load_state_dict(theirs.state_dict())
        batch = () if rng.random() < 0.3 else (int(rng.integers(0, 20)),)
        count = int(rng.choice([0, 2 if name == "LSTMCell" else 1]))
        arrays = [strided(rng, rng.standard_normal((*batch, inputs)))]
        arrays += [rng.standard_normal((*batch, hidden)) for _ in range(count)]
        (x, *h), (u, *g) = leaves(arrays)[0], leaves(arrays)[1]
        got = ours(x, tuple(h) if count == 2 else h[0] if h else None)
        want = theirs(u, tuple(g) if count == 2 else g[0] if g else None)
        compare(rng, agreement.as_tuple(got), agreement.as_tuple(want),
                [x, *h, *ours.parameters()], [u, *g, *theirs.parameters()])  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_float32_is_within_the_spec_of_torchs_float64(kind):
    """One layer of the digits' size; in 6 steps the bound grows to some 10⁻³."""
    rng = np.random.default_rng(3)
    theirs, ours = pair(rng, kind, "float32", input_size=28, hidden_size=64)
    x, h = rng.standard_normal((6, 5, 28)).astype("f4"), np.zeros((5, 64), "f4")
    weights = [p.detach().numpy() for p in theirs.parameters()]
    with torch.no_grad():
        want = theirs.double()(torch.tensor(x).double())[0].numpy()
    given = (x, h, h, *weights) if kind == "LSTM" else (x, h, *weights)
    bound = agreement.bounds(f"{kind.lower()}_layer", given, {})[0]
    got = ours(x)[0].detach().numpy()
    assert bound.max() < 0.1
    assert (np.abs(got - want) <= bound).all()


@pytest.mark.parametrize("kind", KINDS)
def test_second_derivatives_agree_with_torch(kind):
    rng = np.random.default_rng(4)
    for bidirectional in (False, True):
        options = {"input_size": 3, "hidden_size": 4, "bidirectional": bidirectional}
        if kind == "LSTM":
            options["proj_size"] = 2
        theirs, ours = pair(rng, kind, "float64", **options)
        x = rng.standard_normal((4, 2, 3))
        upstream = rng.standard_normal((4, 2, (1 + bidirectional) * options.get("proj_size", 4)))

        def second(module, x, library, tensor, upstream=upstream):
            leaves = [x, *module.parameters()]
            (y, _) = module(x)
            first = library.grad((y * tensor(upstream)).sum(), leaves, create_graph=True)
            return library.grad(sum((g * g).sum() for g in first), leaves, allow_unused=True)

        got = second(ours, fastdl.Tensor(x, requires_grad=True), fastdl, fastdl.Tensor)
        want = second(theirs, torch.tensor(x, requires_grad=True), torch.autograd, torch.tensor)
        for a, b in zip(got, want, strict=True):
            if b is not None:
                agreement.close(a.numpy(), b.numpy(), agreement.BETWEEN_LIBRARIES)


def test_packed_second_derivative_is_that_of_single_sequences():
    rng = np.random.default_rng(5)
    layer = nn.GRU(2, 3, dtype="float64")
    sequences = [fastdl.Tensor(rng.standard_normal((n, 2)), requires_grad=True) for n in (2, 4, 1)]

    def penalty(outputs):
        gradients = fastdl.grad(sum((y * y).sum() for y in outputs), sequences, create_graph=True)
        return sum((g * g).sum() for g in gradients)

    packed = packing.pack_sequence(sequences, enforce_sorted=False)
    together = penalty([layer(packed)[0].data])
    apart = penalty([layer(s)[0] for s in sequences])
    for a, b in zip(fastdl.grad(together, sequences), fastdl.grad(apart, sequences), strict=True):
        agreement.close(a.numpy(), b.numpy(), agreement.BETWEEN_LIBRARIES)


@pytest.mark.parametrize("save", [False, True])
def test_gradient_without_saved_gates_runs_the_layer_again(save):
    rng = np.random.default_rng(6)
    arrays = [rng.standard_normal(s) for s in [(3, 2, 4), (2, 5), (2, 5), (20, 4), (20, 5)]]
    tensors = [fastdl.Tensor(a, requires_grad=True) for a in arrays]
    y, h, c, *saved = OPS["lstm_layer"](*tensors, save=save)
    assert [s.shape for s in saved] == ([(3, 2, 20), (3, 2, 5)] if save else [(0,), (0,)])
    (y.sum() + h.sum() + c.sum()).backward()
    assert all(t.grad.shape == t.shape for t in tensors)


@pytest.mark.parametrize("name", ["lstm_layer", "gru_layer", "rnn_tanh_layer"])
@pytest.mark.parametrize("shape", [(6, 40, 64, 96), (40, 1, 64, 256)])
def test_bits_do_not_depend_on_threads_where_steps_are_shared_out(name, shape):
    steps, batch, inputs, units = shape
    rng = np.random.default_rng(7)
    gates = {"l": 4, "g": 3, "r": 1}[name[0]]
    sizes = [
        (steps, batch, inputs),
        (batch, units),
        (gates * units, inputs),
        (gates * units, units),
    ]
    x, h, w_ih, w_hh = (0.1 * rng.standard_normal(s).astype("f4") for s in sizes)
    given = (x, h, h, w_ih, w_hh) if name == "lstm_layer" else (x, h, w_ih, w_hh)
    bits = set()
    for count in (1, 2, 3, 5):
        with num_threads(count):
            bits.add(b"".join(r.tobytes() for r in OPS[name](*given)))
    assert len(bits) == 1


@pytest.mark.parametrize("isa", _native.runnable_isas())
def test_packed_weights_and_plain_products_agree(isa):
    """The same step by the fused kernel (a long sequence) and as a cell (a product of its own)."""
    before = _native.isa()
    rng = np.random.default_rng(8)
    layer = nn.LSTM(7, 37, dtype="float64")
    cell = nn.LSTMCell(7, 37, dtype="float64")
    cell.load_state_dict({k.removesuffix("_l0"): v for k, v in layer.state_dict().items()})
    x = rng.standard_normal((9, 4, 7))
    try:
        _native.set_isa(isa)
        h = c = np.zeros((4, 37))
        for t, want in enumerate(layer(fastdl.Tensor(x))[0].detach().numpy()):
            h, c = cell(fastdl.Tensor(x[t]), (h, c))
            agreement.close(h.detach().numpy(), want, agreement.BETWEEN_LIBRARIES)
    finally:
        _native.set_isa(before)


def mutants():
    """Kernels of lstm_layer with the mistakes that are made in them: each must be failed."""
    right = reference.lstm_layer

    def blocks(w, order):
        return None if w is None else np.concatenate([np.split(w, 4)[k] for k in order])

    def gate_order(x, h0, c0, w_ih, w_hh, b_ih, b_hh, *rest, **options):
        order = [0, 1, 3, 2]
        given = [blocks(w, order) for w in (w_ih, w_hh, b_ih, b_hh)]
        y, h, c, gates, cells = right(x, h0, c0, *given, *rest, **options)
        if options["save"]:
            gates = np.concatenate([np.split(gates, 4, -1)[k] for k in order], -1)
        return y, h, c, gates, cells

    def forgotten_bias(x, h0, c0, w_ih, w_hh, b_ih, b_hh, *rest, **options):
        return right(x, h0, c0, w_ih, w_hh, b_ih, None, *rest, **options)

    def never_reversed(*arrays, reverse, save):
        return right(*arrays, reverse=False, save=save)

    def lengths_ignored(*arrays, **options):
        y, h, c, *saved = right(*arrays, **options)
        sizes = arrays[8]
        if sizes is not None and not options["reverse"]:
            h[int(sizes[-1]) :] = arrays[1][int(sizes[-1]) :]
        return y, h, c, *saved

    def initial_cell_ignored(x, h0, c0, *rest, **options):
        return right(x, h0, 0 * c0, *rest, **options)

    def half_precision_weights(x, h0, c0, w_ih, w_hh, *rest, **options):
        return right(x, h0, c0, w_ih, w_hh.astype("f2").astype(w_hh.dtype), *rest, **options)

    def last_unit_dropped(*arrays, **options):
        y, h, c, *saved = right(*arrays, **options)
        y[..., -1] = 0
        return y, h, c, *saved

    def honest(*arrays, **options):
        wide = [a.astype("f8") if agreement.is_float(a) else a for a in arrays]
        return right(*wide, **options)

    return [honest, gate_order, forgotten_bias, never_reversed, lengths_ignored,
            initial_cell_ignored, half_precision_weights, last_unit_dropped]  # fmt: skip


def test_the_bound_kills_mutants():
    spec = OPS["lstm_layer"]
    killed = {}
    for mutant in mutants():

        def run(*arrays, mutant=mutant, **options):
            return tuple(r.astype("f4") for r in mutant(*arrays, **options))

        killed[mutant.__name__] = False
        for sample in (s for s in spec.samples if not s.bench):
            rng = np.random.default_rng(1)
            plan = aspects.planned(spec, sample.build(rng, "float32"), sample)
            verdict = Case(spec, plan).judge(run(*plan.arrays, **plan.options))
            killed[mutant.__name__] |= not verdict.passed
    assert not killed.pop("honest")
    assert all(killed.values()), killed


def test_modules_look_as_in_torch():
    made = [
        ("LSTM", (3, 4), {"num_layers": 2, "bidirectional": True, "proj_size": 2}),
        ("GRU", (3, 4, 2), {"bias": False, "batch_first": True, "dropout": 0.5}),
        ("RNN", (3, 4, 1, "relu"), {}),
        ("RNNCell", (3, 4), {"nonlinearity": "relu", "bias": False}),
        ("LSTMCell", (3, 4), {}),
    ]
    for name, args, options in made:
        ours, theirs = (
            getattr(nn, name)(*args, **options),
            getattr(torch.nn, name)(*args, **options),
        )
        assert repr(ours) == repr(theirs)
        assert {k: tuple(v.shape) for k, v in ours.state_dict().items()} == {
            k: tuple(v.shape) for k, v in theirs.state_dict().items()
        }
        assert all(np.abs(p.numpy()).max() <= 0.5 for p in ours.state_dict().values())


def test_sequences_are_padded_and_packed_as_in_torch():
    rng = np.random.default_rng(9)
    theirs = torch.nn.utils.rnn
    arrays = [rng.standard_normal((n, 2)) for n in (3, 1, 4)]
    ours, other = [fastdl.Tensor(a) for a in arrays], [torch.tensor(a) for a in arrays]
    for first in (False, True):
        for side in ("right", "left"):
            a = packing.pad_sequence(ours, first, 7.0, side)
            b = theirs.pad_sequence(other, first, 7.0, side)
            np.testing.assert_array_equal(a.numpy(), b.numpy())
    a, b = packing.pack_sequence(ours, False), theirs.pack_sequence(other, False)
    for mine, his in zip(a, b, strict=True):
        np.testing.assert_array_equal(mine.numpy(), his.numpy())
    for mine, his in zip(packing.unpack_sequence(a), arrays, strict=True):
        np.testing.assert_array_equal(mine.numpy(), his)


def test_dropout_is_between_layers_and_only_while_training():
    """Every element dropped: the second layer sees zeros. None while evaluating."""
    x = np.random.default_rng(11).standard_normal((5, 3, 4))
    for kind in KINDS:
        for p in (0.0, 1.0):
            theirs, ours = pair(None, kind, "float64", input_size=4, hidden_size=6, num_layers=2,
                                dropout=p)  # fmt: skip
            for training in (True, False):
                got = ours.train(training)(fastdl.Tensor(x))[0].detach().numpy()
                want = theirs.train(training)(torch.tensor(x))[0].detach().numpy()
                agreement.close(got, want, agreement.BETWEEN_LIBRARIES)


def test_bad_calls_name_what_is_wrong():
    x, lstm = np.zeros((3, 2, 4), "f4"), nn.LSTM(4, 5)
    bad = [
        (errors.ShapeError, lambda: lstm(x[None])),
        (errors.ShapeError, lambda: lstm(x, (x[0], x[0]))),
        (errors.ShapeError, lambda: lstm(np.zeros((3, 2, 5), "f4"))),
        (errors.ShapeError, lambda: lstm(x[:0])),
        (errors.ShapeError, lambda: lstm(x, (np.zeros((2, 2, 5), "f4"),) * 2)),
        (errors.DTypeError, lambda: lstm(x.astype("f8"))),
        (errors.ArgumentError, lambda: F.lstm(x, (x, x), [], True)),
        (errors.ArgumentError, lambda: F.lstm(x, x, [], True, 1, 0.0, False, False, False)),
        (errors.ArgumentError, lambda: F.gru(x, x, [], True, 1, 0.0, False, False, False)),
        (errors.ArgumentError, lambda: F.lstm_cell(x[0], x[0], x[0], x[0])),
        (errors.ShapeError, lambda: F.gru_cell(x, x[0], x[0], x[0])),
        (errors.ArgumentError, lambda: nn.GRU(4, 0)),
        (errors.DTypeError, lambda: nn.GRU(4, 2.0)),
        (errors.ArgumentError, lambda: nn.LSTM(4, 5, proj_size=5)),
        (errors.ArgumentError, lambda: nn.RNN(4, 5, nonlinearity="sigmoid")),
        (errors.ArgumentError, lambda: nn.LSTM(4, 5, 2, dropout=1.5)),
        (errors.ArgumentError, lambda: packing.pack_padded_sequence(x, [1, 2])),
        (errors.ArgumentError, lambda: packing.pack_padded_sequence(x, [3, 0])),
        (errors.ArgumentError, lambda: packing.pack_padded_sequence(x, [4, 1])),
        (errors.ShapeError, lambda: packing.pack_padded_sequence(x, [1])),
        (errors.DTypeError, lambda: packing.pack_padded_sequence(x, [1.0, 1.0])),
        (errors.ArgumentError, lambda: packing.pad_sequence([])),
    ]
    for error, call in bad:
        with pytest.raises(error):
            call()
    with pytest.warns(UserWarning, match="num_layers"):
        nn.LSTM(4, 5, dropout=0.5)
