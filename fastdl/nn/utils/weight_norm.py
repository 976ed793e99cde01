"""Weights as a direction and a length (Salimans and Kingma 2016): w = g·v / |v|."""

from __future__ import annotations

from typing import Any, TypeVar

from ...core.errors import ArgumentError
from ...core.shapes import normalize_dim
from ...ops.elementwise import div, mul
from ...ops.elementwise_math import sqrt
from ...ops.reduce import sum
from ...tensor import Parameter, Tensor
from ..module import Module, RemovableHandle

__all__ = ["remove_weight_norm", "weight_norm"]

AnyModule = TypeVar("AnyModule", bound=Module)


def norm_except(v: Tensor, dim: int | None) -> Any:
    """|v| over all dims but one, which are kept with size 1; of everything for None."""
    if dim is None or dim == -1:  # torch takes −1 for None here
        return sqrt(sum(mul(v, v), dim=None))
    kept = normalize_dim("weight_norm", dim, v.ndim)
    others = tuple(d for d in range(v.ndim) if d != kept)
    return sqrt(sum(mul(v, v), dim=others, keepdim=True)) if others else sqrt(mul(v, v))


def normed(v: Tensor, g: Tensor, dim: int | None) -> Any:
    """g·v / |v|."""
    return mul(v, div(g, norm_except(v, dim)))


class _WeightNorm:
    """The hook that computes the weight before every call of the module."""

    def __init__(self, name: str, dim: int | None) -> None:
        self.name, self.dim = name, dim
        self.handle: RemovableHandle | None = None

    def compute(self, module: Module) -> Any:
        g, v = getattr(module, f"{self.name}_g"), getattr(module, f"{self.name}_v")
        return normed(v, g, self.dim)

    def __call__(self, module: Module, args: Any) -> None:
        setattr(module, self.name, self.compute(module))


def _hooks(module: Module, name: str) -> list[_WeightNorm]:
    found = (hook for hook, _ in module._pre_hooks.values())
    return [hook for hook in found if isinstance(hook, _WeightNorm) and hook.name == name]


def _taken(function: str, module: Module, name: str) -> Parameter:
    """The parameter, which the module has no longer."""
    weight = module._parameters.get(name)
    if weight is None:
        raise ArgumentError(f"{function}: name: got {name!r}, want a parameter of the module")
    del module._parameters[name]
    return weight


def weight_norm(module: AnyModule, name: str = "weight", dim: int | None = 0) -> AnyModule:
    """Replaces a parameter by its length `name_g` and direction `name_v`.

    Args:
        module: changed, and returned; it computes the weight before every call.
        name: of the parameter.
        dim: every slice along it has a length of its own; None for one length in all.

    Raises ArgumentError for a name that is no parameter, or one that is so replaced already. As
    torch.nn.utils.weight_norm.
    """
    if _hooks(module, name):
        raise ArgumentError(f"weight_norm: {name!r} has a length and a direction already")
    weight = _taken("weight_norm", module, name)
    hook = _WeightNorm(name, dim)
    plain = weight.detach()
    module.register_parameter(f"{name}_g", Parameter(norm_except(plain, dim)))
    module.register_parameter(f"{name}_v", Parameter(plain))
    setattr(module, name, hook.compute(module))
    hook.handle = module.register_forward_pre_hook(hook)
    return module


def remove_weight_norm(module: AnyModule, name: str = "weight") -> AnyModule:
    """Makes the weight a parameter again, with the value it has. As in torch.nn.utils.

    Raises ArgumentError for a name that has no length and direction.
    """
    hooks = _hooks(module, name)
    if not hooks:
        raise ArgumentError(f"remove_weight_norm: {name!r} has no length and direction")
    hook = hooks[0]
    weight = hook.compute(module).detach()
    assert hook.handle is not None
    hook.handle.remove()
    del module._parameters[f"{name}_g"], module._parameters[f"{name}_v"]
    delattr(module, name)
    setattr(module, name, Parameter(weight))
    return module
