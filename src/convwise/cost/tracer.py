"""Sees every operator of a module's forward pass."""

import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, cast

from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from .geometry import Convolution, Pair
from .lifetimes import Step
from .operators import Operator, known
from .record import Record, Run
from .shapes import META, shaped, stand_in

SEQUENCES = (list, tuple)


class NoValuesError(Exception):
    """An operator asks for numbers where there are only shapes."""


class Tracer(TorchDispatchMode):
    """Records every operator between its entry and exit.

    With `meta`, weights are replaced by stand-ins without memory where an operator reads them, so that the module
    itself is not touched. What depends neither on the input nor on the module is computed, since its control flow may
    ask for it.

    Attributes:
        record: what was seen.
    """

    def __init__(self, module: nn.Module, parameters: Iterable[Tensor], x: Tensor, *, meta: bool) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.record, self._meta = Record(), meta
        self._paths = {id(m): _as_written(path) for path, m in module.named_modules()}
        self._weights = {id(p): p for p in parameters}  # their stand-ins too
        self._owned = {_storage(tensor) for tensor in (*parameters, *module.buffers())}
        self._stand_ins: dict[int, tuple[Tensor, Tensor]] = {}  # by id of the tensor, which is kept so that ids stay
        self._numbers: dict[int, int] = {}  # of tensors of activations, by the address of their storage
        self._addresses: list[StorageWeakRef] = []  # which are not used again as long as these references live
        self._stack = [Run("", type(module).__name__, leaf=False)]
        self._raised: dict[int, tuple[BaseException, Run]] = {}  # by id of the error
        self._make(x)

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Say no: torch would import its compiler, more than a second, only to tell it to stay away."""
        return False

    def raised_in(self, error: BaseException) -> Run:
        """The innermost module that `error` left."""
        return self._raised.get(id(error), (error, self._stack[0]))[1]

    @contextmanager
    def following_modules(self) -> Iterator[None]:
        """Know which module runs, for a while."""
        thread = threading.get_ident()  # hooks see the modules of all threads

        def enter(module: nn.Module, _inputs: Any) -> None:
            path = self._paths.get(id(module))
            if path is not None and threading.get_ident() == thread:
                self._stack.append(Run(path, type(module).__name__, leaf=not module._modules))

        def leave(module: nn.Module, _inputs: Any, _output: Any) -> None:
            if id(module) in self._paths and threading.get_ident() == thread:
                run, error = self._stack.pop(), sys.exception()
                if error is not None:
                    self._raised.setdefault(id(error), (error, run))

        with register_module_forward_pre_hook(enter), register_module_forward_hook(leave, always_call=True):
            yield

    def finish(self, result: Any) -> Record:
        """The record, with what the module gave back."""
        tensors = (leaf for leaf in tree_leaves(result) if isinstance(leaf, Tensor))
        numbers = (self._numbers.get(_storage(self.without_memory(tensor))) for tensor in tensors)
        self.record.results = {number for number in numbers if number is not None} or {len(self.record.sizes) - 1}
        return self.record

    def __torch_dispatch__(self, func: Any, _types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run and record one operator."""
        operator, kwargs = known(func), kwargs or {}
        if operator.composite:
            with self:
                return func.decompose(*args, **kwargs)
        given = [*_tensors(args), *_tensors(kwargs.values())]
        places = [_storage(self.without_memory(tensor)) for tensor in given]
        if self._numbers.keys().isdisjoint(places) and self._owned.isdisjoint(places):
            return func(*args, **kwargs)  # the same whatever the image and the weights
        if self._meta:
            args = [self.without_memory(a) for a in args]
            kwargs = {name: META if name == "device" else self.without_memory(a) for name, a in kwargs.items()}
            result = _shaped(operator, func, args, kwargs)
        else:
            result = func(*args, **kwargs)
        made = list(_tensors((result,)))
        run = self._running(made)
        reads = {} if operator.factory else self._reads(run, given, places)
        fresh = [tensor for tensor in made if _storage(tensor) not in places]
        if fresh or operator.mutable:
            self._note(operator, run, reads, made, fresh)
            if operator.formula is not None:
                run.macs += operator.formula(*args, **kwargs, out_val=result) // 2
            if operator.convolution:
                run.convolutions.append(_geometry(*args))
        in_place = operator.mutable and given and result is self.without_memory(given[0])
        return given[0] if in_place else result

    def without_memory(self, value: Any) -> Any:
        """The stand-in of a tensor, or of those in a list, with `meta`; other values as they are."""
        if isinstance(value, Tensor):
            return value if value.is_meta or not self._meta else self._stand_in(value)
        return [self.without_memory(item) for item in value] if isinstance(value, SEQUENCES) else value

    def _stand_in(self, tensor: Tensor) -> Tensor:
        if id(tensor) not in self._stand_ins:
            made = stand_in(tensor)
            self._stand_ins[id(tensor)] = (tensor, made)
            if _storage(tensor) in self._owned:
                self._owned.add(_storage(made))
            if id(tensor) in self._weights:
                self._weights[id(made)] = tensor
        return self._stand_ins[id(tensor)][1]

    def _running(self, made: list[Tensor]) -> Run:
        """The module that runs, and what it gives for now."""
        run = self._stack[-1]
        if run.layer is None:
            run.layer = len(self.record.runs)
            self.record.runs.append(run)
        if made:
            run.output_shape = tuple(made[0].shape)
        return run

    def _reads(self, run: Run, given: list[Tensor], places: list[int]) -> dict[int, int]:
        """Note the parameters among what an operator was given; numbers and bytes of the activations."""
        reads: dict[int, int] = {}
        for tensor, place in zip(given, places, strict=True):
            weight = self._weights.get(id(tensor))
            if weight is not None:
                run.weights[id(weight)] = _bytes(weight)
                if id(weight) not in self.record.weights_read:
                    self.record.weights_read.add(id(weight))
                    run.new_weights.append(weight)
            elif place in self._numbers:
                number = self._numbers[place]
                reads[number] = max(reads.get(number, 0), _bytes(tensor))
                if run.input_shape is None:
                    run.input_shape, run.source_shape = tuple(tensor.shape), self.record.shapes[number]
        return reads

    def _note(
        self, operator: Operator, run: Run, reads: dict[int, int], made: list[Tensor], fresh: list[Tensor]
    ) -> None:  # fmt: skip
        """Put an operator that is no view into the record."""
        assert run.layer is not None
        run.works = True
        if not fresh:
            others = (tensor for tensor in made if self._numbers.get(_storage(tensor)) not in run.makes)
            run.rewritten_bytes += sum(_bytes(tensor) for tensor in others)
        numbers = [self._make(tensor) for tensor in fresh]
        run.makes.update(numbers)
        self.record.steps.append(Step(run.layer, reads, numbers, operator.in_place))
        if operator.formula is None and made and made[0].numel():
            self.record.calls[operator.name] += 1
            self.record.elements[operator.name] += made[0].numel()  # not what comes with it, such as indices

    def _make(self, tensor: Tensor) -> int:
        """Number a new tensor of activations."""
        number = self._numbers[_storage(tensor)] = len(self.record.sizes)
        self._addresses.append(StorageWeakRef(tensor.untyped_storage()))
        self.record.sizes.append(_bytes(tensor))
        self.record.shapes.append(tuple(tensor.shape))
        return number


def _as_written(path: str) -> str:
    """The path of a module without the wrapper that torch.compile puts around one."""
    return ".".join(name for name in path.split(".") if name != "_orig_mod")


def _shaped(operator: Operator, func: Any, args: Any, kwargs: Any) -> Any:
    if operator.data_dependent:
        raise NoValuesError(operator.name)
    try:
        return shaped(func, args, kwargs, pointwise=operator.pointwise and not operator.mutable)
    except NotImplementedError as error:  # torch's word for an operator whose shape depends on values
        raise NoValuesError(operator.name) from error


def _tensors(values: Iterable[Any]) -> Iterator[Tensor]:
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, SEQUENCES):
            yield from _tensors(value)


def _storage(tensor: Tensor) -> int:
    return cast("int", tensor.untyped_storage()._cdata)


def _bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()


def _geometry(
    x: Tensor, weight: Tensor, bias: Tensor | None, stride: Pair, padding: Pair, dilation: Pair, transposed: bool,
    _more: Any, groups: int,
) -> Convolution | None:  # fmt: skip
    if transposed or x.dim() != 4 or x.shape[0] != 1:
        return None
    return Convolution(
        height=x.shape[2], width=x.shape[3], in_channels=x.shape[1], filters=weight.shape[0],
        kernel=(weight.shape[2], weight.shape[3]), stride=(stride[0], stride[1]),
        padding=(2 * padding[0], 2 * padding[1]), groups=groups, bias=bias is not None,
        dilation=(dilation[0], dilation[1]),
    )  # fmt: skip
