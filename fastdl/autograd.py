"""The tape: nodes, the backward pass, and the switch that turns recording off.

A node is put on the tape for each op that has a Tensor requiring grad among its arrays. It holds
only what the op's vjp declares it reads (`OpSpec.saves`) and lets go of it as backward passes; a
node that held nothing can be passed again, as in torch.
vjps are made of ops, so under `create_graph=True` they run on Tensors and record themselves.
"""

from __future__ import annotations

import functools
import heapq
import itertools
from collections.abc import Callable, Sequence
from contextlib import ContextDecorator
from contextvars import ContextVar, Token
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from . import dispatch
from .core.dtypes import NAMES, is_float, name_of
from .core.errors import ArgumentError, AutogradError, DTypeError, ShapeError, UnsupportedError
from .core.shapes import is_channels_last
from .spec import OPS, OpSpec

if TYPE_CHECKING:
    from .tensor import Tensor
# At run time tensor.py, which imports this module, sets `Tensor` here: an import statement in every
# function would cost a microsecond a call.

_recording: ContextVar[bool] = ContextVar("fastdl_recording", default=True)
_sequence = itertools.count()


class no_grad(ContextDecorator):  # noqa: N801 (torch's name)
    """Within it nothing is recorded: `with no_grad():`, or `@no_grad()` or `@no_grad` above a
    function."""

    _state = False
    _tokens: list[Token[bool]]

    def __new__(cls, function: Any = None) -> Any:
        """A context, or the function itself decorated."""
        new = super().__new__(cls)
        new._tokens = []
        return new if function is None else new(function)

    def __enter__(self) -> None:
        self._tokens.append(_recording.set(self._state))

    def __exit__(self, *exception: object) -> None:
        _recording.reset(self._tokens.pop())

    def __call__(self, function: Any) -> Any:
        """Decorates a function; each call enters a context of its own."""

        @functools.wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            with type(self)():
                return function(*args, **kwargs)

        return wrapped


class enable_grad(no_grad):  # noqa: N801 (torch's name)
    """Turns recording on again within a `no_grad` block."""

    _state = True


def is_grad_enabled() -> bool:
    """Is the tape recording in this thread?"""
    return _recording.get()


class Meta(NamedTuple):
    """What is kept of every array argument: enough to shape its gradient."""

    shape: tuple[int, ...]
    dtype: np.dtype
    channels_last: bool


class Saved:
    """What a vjp is given: saved arrays as attributes by name, and the call's facts.

    Attributes:
        inputs: a Meta for each array argument (the scalar itself for a Python scalar).
        needs: for each array argument, whether its gradient is wanted.
        options: the canonical options of the call.
    """

    inputs: tuple[Any, ...]
    needs: tuple[bool, ...]
    options: dict[str, Any]

    def __init__(self, inputs: tuple[Any, ...], needs: tuple[bool, ...], options: dict[str, Any]):
        self.inputs = inputs
        self.needs = needs
        self.options = options

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"vjp reads {name!r}, which its op does not list in `saves`")


class Node:
    """One recorded call: where its gradients go, and what its vjp needs."""

    __slots__ = ("__weakref__", "edges", "freed", "hooks", "metas", "needs", "options", "order",
                 "outputs", "saved", "spec")  # fmt: skip

    def __init__(self, spec: OpSpec, arrays: Sequence[Any], options: dict[str, Any]):
        self.spec = spec
        self.options = options
        self.order = next(_sequence)
        self.edges = [a._edge() if isinstance(a, Tensor) else None for a in arrays]
        self.needs = tuple([edge is not None for edge in self.edges])
        self.metas = tuple([_meta(a._array if isinstance(a, Tensor) else a) for a in arrays])
        self.saved: dict[str, Any] | None = {}
        self.outputs: tuple[Meta, ...] = ()
        self.freed = False

    @property
    def name(self) -> str:
        """The op's name, for messages and for `Tensor.grad_fn`."""
        return self.spec.name

    def __repr__(self) -> str:
        return f"<{self.spec.name} backward>"

    def save_inputs(self, arrays: Sequence[Any]) -> None:
        """Keeps the arguments that the vjp reads, each with the version it has now."""
        assert self.saved is not None
        for position, argument in enumerate(self.spec.signature.arrays):
            if self.spec.reads(argument.name, self.needs):
                self.saved[argument.name] = _SavedValue(arrays[position], own_output=None)

    def save_outputs(self, results: Sequence[Tensor]) -> None:
        """Keeps the outputs that the vjp reads, each with the version it has now."""
        assert self.saved is not None
        for index, name in enumerate(self.spec.signature.outputs):
            if self.spec.reads(name, self.needs):
                self.saved[name] = _SavedValue(results[index], own_output=index)
        self.outputs = tuple(_meta(t._array) for t in results)

    def restore(self, as_tensors: bool) -> Saved:
        """The saved values for the vjp, after checking that none changed since."""
        if self.saved is None:
            raise AutogradError(
                f"backward through {self.name} a second time: what it saved was freed by the first;"
                " pass retain_graph=True to the first backward"
            )
        saved = Saved(self.metas, self.needs, self.options)
        for name in self.spec.saves:
            setattr(saved, name, None)
        for name, value in self.saved.items():
            setattr(saved, name, value.get(self, name, as_tensors))
        return saved


class _SavedValue:
    """A saved array, its version, and (for a tensor) how it hangs on the tape.

    A node that saved its own output as a Tensor would keep itself alive in a cycle, so an output is
    kept as a bare array and becomes a Tensor of the node again when asked for.
    """

    __slots__ = ("array", "counter", "edge", "output", "tensor", "version")

    def __init__(self, value: Any, own_output: int | None):
        self.output = own_output
        self.tensor = value if isinstance(value, Tensor) and own_output is None else None
        self.array = value._array if isinstance(value, Tensor) else value
        self.counter: Any = value._counter if isinstance(value, Tensor) else None
        self.version = self.counter.value if self.counter else 0
        # In-place ops rebase a tensor onto a new node; what was saved hangs on the old one.
        self.edge = self.tensor._edge() if self.tensor is not None else None

    def get(self, node: Node, name: str, as_tensor: bool) -> Any:
        if self.counter is not None and self.counter.value != self.version:
            raise AutogradError(
                f"backward of {node.name}: its saved {name} (shape {self.array.shape}) was changed"
                f" in place since (version {self.counter.value}, saved at {self.version})"
            )
        if not as_tensor or not isinstance(self.array, np.ndarray):
            return self.array
        if self.output is not None:
            return Tensor._on_tape(self.array, (node, self.output), self.counter)
        if self.tensor is not None and self.edge is not None:
            return Tensor._on_tape(self.array, self.edge, self.counter)
        return Tensor._wrap(self.array)


def _meta(a: Any) -> Any:
    if isinstance(a, np.ndarray):
        return Meta(a.shape, a.dtype, is_channels_last(a))
    return a


def run(spec: OpSpec, arrays: Sequence[Any], options: dict[str, Any], out: Any = None) -> Any:
    """Runs an op on arrays, or on Tensors with a tape. This is what calling an OpSpec does."""
    values, found, tracked = [], False, False
    for a in arrays:
        if isinstance(a, Tensor):
            found = True
            if a._base is not None:
                a._check_fresh(spec.name)
            if a._requires_grad:
                tracked = True
            values.append(a._array)
        else:
            values.append(a)
    if not found and not _has_tensor(out):
        return dispatch.run(spec, arrays, options, out)
    tracked = tracked and _recording.get()
    if out is not None:
        return _run_into(spec, arrays, options, out, tracked)
    if tracked and spec.option_names and (options or not spec.plain):
        # The vjp wants canonical options, so the call is planned.
        plan = dispatch.make_plan(spec, values, options)
        options = plan.options
        result = dispatch.run_plan(spec, plan)
    else:
        result = spec.call_arrays(values, options)
    base = arrays[0] if spec.view else None
    if not isinstance(result, tuple):
        tensor = Tensor._wrap(result, base=base)
        if tracked:
            record(spec, arrays, options, (tensor,))
        return tensor
    tensors = tuple(Tensor._wrap(r, base=base) for r in result)
    if tracked:
        record(spec, arrays, options, tensors)
    return tensors


def _has_tensor(out: Any) -> bool:
    return any([isinstance(o, Tensor) for o in (out if isinstance(out, tuple) else (out,))])


def record(
    spec: OpSpec, arrays: Sequence[Any], options: dict[str, Any], tensors: Sequence[Tensor]
) -> None:
    """Puts the call that made `tensors` on the tape (nothing, if no output is a float)."""
    missing = len(spec.signature.arrays) - len(arrays)
    if missing > 0:
        arrays = (*arrays, *(None,) * missing)
    if not any(is_float(t.dtype) for t in tensors):
        return
    node = Node(spec, arrays, options)
    node.save_inputs(arrays)
    node.save_outputs(tensors)
    for index, t in enumerate(tensors):
        if is_float(t.dtype):
            t._attach((node, index))


def _run_into(
    spec: OpSpec, arrays: Sequence[Any], options: dict[str, Any], out: Any, tracked: bool
) -> Any:
    outs = out if isinstance(out, tuple) else (out,)
    if tracked or any(isinstance(o, Tensor) and o.requires_grad for o in outs if is_grad_enabled()):
        raise AutogradError(
            f"{spec.name}: out= is not differentiable; call it under no_grad() or without out="
        )
    values = tuple(a._array if isinstance(a, Tensor) else a for a in arrays)
    bare = tuple(o._array if isinstance(o, Tensor) else o for o in outs)
    dispatch.run(spec, values, options, bare if isinstance(out, tuple) else bare[0])
    for o in outs:
        if isinstance(o, Tensor):
            o._written()
    return out


# --- backward ----------------------------------------------------------------------------------


def backward(
    roots: Sequence[Tensor],
    gradients: Sequence[Any],
    *,
    retain_graph: bool = False,
    create_graph: bool = False,
    inputs: Sequence[Tensor] | None = None,
) -> list[Any]:
    """Carries `gradients` from `roots` down the tape.

    Without `inputs` they are added to the `.grad` of every leaf reached, and [] is returned;
    with `inputs`, their gradients are returned instead (None where the roots do not depend on one)
    and no
    `.grad` is touched. Gradients are Tensors under `create_graph`, else arrays.
    """
    wanted = None if inputs is None else [t._edge() for t in inputs]
    pending: dict[Any, list[Any]] = {}  # node or leaf -> gradients of its outputs
    heap: list[tuple[int, Node]] = []
    add = OPS["add"]

    def send(edge: Any, gradient: Any) -> None:
        target, index = edge
        slots = pending.get(target)
        if slots is None:
            slots = pending[target] = [None] * (
                len(target.outputs) if isinstance(target, Node) else 1
            )
            if isinstance(target, Node):
                heapq.heappush(heap, (-target.order, target))
        slots[index] = gradient if slots[index] is None else add(slots[index], gradient)

    for root, gradient in zip(roots, gradients, strict=True):
        send(root._edge(), gradient)
    reachable = None if wanted is None else _leading_to(roots, wanted)
    found: dict[int, Any] = {}
    switch = enable_grad() if create_graph else no_grad()
    with switch:
        while heap:
            _, node = heapq.heappop(heap)
            slots = pending.pop(node)
            if wanted is not None:
                for i, edge in enumerate(wanted):
                    if edge is not None and edge[0] is node and slots[edge[1]] is not None:
                        found[i] = slots[edge[1]]
                if reachable is not None and node not in reachable:
                    continue
            _step(node, slots, send, create_graph)
            if node.saved and not (retain_graph or create_graph):
                node.saved = None
    if wanted is not None:
        for i, edge in enumerate(wanted):
            if edge is not None and edge[0] in pending:
                found[i] = pending[edge[0]][0]
        return [found.get(i) for i in range(len(wanted))]
    for leaf in list(pending):
        leaf.accumulate(pending.pop(leaf), create_graph)
    return []


def _leading_to(roots: Sequence[Tensor], wanted: Sequence[Any]) -> set[Node]:
    """The nodes that lie on a path from a root to a wanted edge."""
    targets = {edge[0] for edge in wanted if edge is not None}
    leads: dict[Any, bool] = {}
    stack = [(edge[0], False) for root in roots if (edge := root._edge())]
    while stack:
        target, done = stack.pop()
        children = [e[0] for e in target.edges if e] if isinstance(target, Node) else []
        if done:
            leads[target] = any(c in targets or leads.get(c, False) for c in children)
        elif target not in leads:
            leads[target] = False
            stack.append((target, True))
            stack.extend((child, False) for child in children)
    return {target for target, lead in leads.items() if lead}


def _step(node: Node, slots: list[Any], send: Callable[[Any, Any], None], graph: bool) -> None:
    """Runs one vjp and sends its gradients on."""
    spec = node.spec
    vjp = spec.composed_vjp if graph and spec.composed_vjp else spec.vjp
    if vjp is None:
        raise UnsupportedError(f"{spec.name} has no gradient")
    saved = node.restore(as_tensors=graph)
    upstream = [
        slot if slot is not None or not is_float(meta.dtype) else _zeros(meta, graph)
        for slot, meta in zip(slots, node.outputs, strict=True)
    ]
    gradients = vjp(saved, *upstream)
    for position, (edge, gradient) in enumerate(zip(node.edges, gradients, strict=True)):
        if edge is None or gradient is None:
            continue
        meta = node.metas[position]
        if gradient.shape != meta.shape:
            raise AutogradError(
                f"vjp of {spec.name}: gradient of {spec.signature.array_name(position)} has shape"
                f" {tuple(gradient.shape)}, want {meta.shape}"
            )
        same = gradient.dtype == meta.dtype
        send(edge, gradient if same else OPS["cast"](gradient, dtype=meta.dtype.name))


def _zeros(meta: Meta, graph: bool) -> Any:
    zeros = np.zeros(meta.shape, meta.dtype)
    return Tensor._wrap(zeros) if graph else zeros


def starting_gradient(root: Tensor, gradient: Any, create_graph: bool) -> Any:
    """The checked upstream gradient of a root: the one given, or 1 for a scalar."""
    if not root.requires_grad:
        raise AutogradError(
            f"backward: the tensor (shape {root.shape}, dtype {root.dtype}) does not require grad"
        )
    root._check_fresh("backward")
    if gradient is None:
        if root._array.size != 1:
            raise AutogradError(
                f"backward: the tensor has shape {root.shape}; only a one-element tensor can do"
                " without gradient="
            )
        gradient = np.ones(root.shape, root.dtype)
    array = gradient._array if isinstance(gradient, Tensor) else gradient
    if not isinstance(array, np.ndarray):
        raise ArgumentError(
            f"backward: gradient: got {type(gradient).__name__}, want an array or a Tensor"
        )
    if name_of(array.dtype) not in NAMES:
        raise DTypeError(f"backward: gradient has dtype {array.dtype}, want {root.dtype}")
    if array.shape != root.shape:
        raise ShapeError(f"backward: gradient has shape {array.shape}, want {root.shape}")
    if array.dtype != root.dtype:
        array = gradient = array.astype(root.dtype)
    if not create_graph:
        return array
    return gradient if isinstance(gradient, Tensor) else Tensor._wrap(array)


def grad(
    outputs: Tensor | Sequence[Tensor],
    inputs: Tensor | Sequence[Tensor],
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    allow_unused: bool = False,
) -> tuple[Any, ...]:
    """Gradients of `outputs` with respect to `inputs`, as a tuple of Tensors (torch.autograd.grad).

    Raises AutogradError if an input does not require grad, or is not reached and `allow_unused` is
    false.
    """
    roots: list[Any] = list(outputs) if isinstance(outputs, (list, tuple)) else [outputs]
    leaves = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    for i, root in enumerate(roots):
        if not isinstance(root, Tensor):
            raise DTypeError(f"grad: outputs[{i}]: got {type(root).__name__}, want a Tensor")
    for i, leaf in enumerate(leaves):
        if not (isinstance(leaf, Tensor) and leaf.requires_grad):
            raise AutogradError(f"grad: inputs[{i}] does not require grad")
    given = grad_outputs if isinstance(grad_outputs, (list, tuple)) else [grad_outputs] * len(roots)
    if len(given) != len(roots):
        raise ArgumentError(f"grad: grad_outputs: got {len(given)}, want {len(roots)}, as outputs")
    start = [starting_gradient(r, g, create_graph) for r, g in zip(roots, given, strict=True)]
    keep = create_graph if retain_graph is None else retain_graph
    found = backward(roots, start, retain_graph=keep, create_graph=create_graph, inputs=leaves)
    for i, gradient in enumerate(found):
        if gradient is None and not allow_unused:
            raise AutogradError(
                f"grad: outputs do not depend on inputs[{i}]; pass allow_unused=True to get None"
            )
    return tuple(g if g is None or isinstance(g, Tensor) else Tensor._wrap(g) for g in found)


def value_and_grad(
    function: Callable[..., Any], argnums: int | Sequence[int] = 0
) -> Callable[..., tuple[Any, Any]]:
    """A function that returns (value, gradients) of a scalar-valued `function`.

    `argnums` names the positional arguments to differentiate by; arrays are made Tensors for it.
    The gradient is one Tensor for an int, a tuple for a sequence.
    """
    positions = (argnums,) if isinstance(argnums, int) else tuple(argnums)

    @functools.wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> tuple[Any, Any]:
        arguments = list(args)
        for i in positions:
            a = arguments[i]
            source = a._array if isinstance(a, Tensor) else a
            arguments[i] = Tensor(source, requires_grad=True)
        with enable_grad():
            value = function(*arguments, **kwargs)
        gradients = grad(value, [arguments[i] for i in positions], allow_unused=True)
        return value.detach(), gradients[0] if isinstance(argnums, int) else gradients

    return wrapped


OpSpec.run = staticmethod(run)
