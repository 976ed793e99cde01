"""torch.nn.utils.parametrizations: `weight_norm` with the newer names in the state_dict."""

from __future__ import annotations

from typing import Any, TypeVar

from ...tensor import Parameter
from ..container import ModuleDict
from ..module import Module
from .weight_norm import _taken, norm_except, normed

__all__ = ["weight_norm"]

AnyModule = TypeVar("AnyModule", bound=Module)


class _Lengths(Module):
    """The length (original0) and the direction (original1) of a weight."""

    def __init__(self, weight: Parameter, dim: int | None) -> None:
        super().__init__()
        self.dim = dim
        plain = weight.detach()
        self.original0 = Parameter(norm_except(plain, dim))
        self.original1 = Parameter(plain)

    def forward(self) -> Any:
        """The weight."""
        return normed(self.original1, self.original0, self.dim)


def weight_norm(module: AnyModule, name: str = "weight", dim: int | None = 0) -> AnyModule:
    """As `nn.utils.weight_norm`, with parameters `parametrizations.name.original0` and `original1`.

    The weight is computed before every call of the module; read by hand after a step of an
    optimizer it is the one of the last call (torch computes it whenever it is read). As
    torch.nn.utils.parametrizations.weight_norm.
    """
    lengths = _Lengths(_taken("weight_norm", module, name), dim)
    if "parametrizations" not in module._modules:
        module.add_module("parametrizations", ModuleDict())
    table: Any = module._modules["parametrizations"]
    table[name] = lengths

    def compute(owner: Module, args: Any) -> None:
        setattr(owner, name, lengths())

    compute(module, ())
    module.register_forward_pre_hook(compute)
    return module
