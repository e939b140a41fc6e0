"""Building modules without memory for their weights."""

from functools import cache
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode


class Sketching(TorchDispatchMode):
    """Leaves tensors without memory as they are where an initialiser would fill them."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Say no: torch would import its compiler, more than a second, only to tell it to stay away."""
        return False

    def __torch_dispatch__(self, func: Any, _types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run one operator, unless it only writes into its first argument."""
        if _writes_in_place(func) and isinstance(args[0], Tensor) and args[0].is_meta:
            return args[0]
        return func(*args, **(kwargs or {}))


@cache
def _writes_in_place(operator: Any) -> bool:
    return bool(operator._schema.is_mutable) and operator.overloadpacket.__name__.endswith("_")
