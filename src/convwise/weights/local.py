"""A file of the user's: whose names its tensors have, and of which form of the network they are."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from .. import networks
from ..errors import DataError, UsageError
from .filling import blank, other_shapes, sized
from .naming import differences, few
from .own import Note
from .published import merged
from .table import by_hash, defaults, forms, naming, publishers
from .tensors import read

if TYPE_CHECKING:
    from torch import Tensor

# What a caller may want otherwise than the file was made with: one channel sums the first kernel, auxiliary heads may
# be left out, and the last two act in training alone.
FREE = ("in_channels", "aux", "dropout", "stochastic_depth")

Arguments = Mapping[str, object]
Matched = tuple[dict[str, "Tensor"], dict[str, object]]


def match(path: Path, name: str, arguments: Arguments) -> Matched:
    """Read a file and give its tensors our names, with the arguments that the network needs.

    A file that is known by its hash needs what is known of it, and a file that notes its network needs what it notes.
    Of another one, with our names or a publisher's, the arguments are those of a form of the network that our builder
    or the publisher has; where several fit, which differ in what no tensor shows, the caller says.

    Raises:
        DataError: the file is absent, unusable, or of another network.
        UsageError: it may be of several forms of the network, or of none that has these arguments.
    """
    state, digest, note = read(path)
    what = f"the weights in {str(path)!r}"
    if known := by_hash(digest):
        _check_network(what, known.network, name)
        needed = known.merge(arguments)
        wanted = blank(name, needed).state_dict()
        return naming(known.publisher, name).to_ours(state, wanted, what), needed
    nearest = _nearest(state, name, arguments, _as_noted(what, note, name, arguments) if note else None)
    if not nearest.fitting:
        raise DataError(f"{what} {_foreign(state, name, nearest)}")
    if len(nearest.fitting) > 1:
        raise UsageError(
            f"{what} have the names of {nearest.publisher}, where the same tensors may be of {name} with "
            f"{_apart(nearest.fitting)}; say which in `arguments`"
        )
    return nearest.state, nearest.fitting[0]


class _Attempt(NamedTuple):
    """What came of reading tensors as a publisher's of a network."""

    publisher: str
    names_known: int  # of the file's names
    names_apart: int  # missing and unknown ones
    wrong: str  # in words, with the file's names
    state: "dict[str, Tensor]"  # by our names; empty where names are apart
    fitting: list[dict[str, object]]  # of the candidates, those that the tensors may be of


def _nearest(
    state: "Mapping[str, Tensor]", name: str, arguments: Arguments, noted: dict[str, object] | None = None
) -> _Attempt:  # fmt: skip
    """Read tensors as each publisher's of a network in turn, up to the first whose they may be; else the nearest.

    Args:
        state: the tensors, by the file's names.
        name: of the network.
        arguments: that the caller wants.
        noted: all that the network needs, where the file says it.
    """
    names = list(blank(name, arguments if noted is None else noted).state_dict())  # the same in all publishers' forms
    attempts = []
    for publisher in publishers(name):
        candidates = _candidates(publisher, name, arguments) if noted is None else [noted]
        attempts.append(_attempt(state, name, names, publisher, candidates))
        if attempts[-1].fitting:
            return attempts[-1]
    return min(attempts, key=lambda attempt: attempt.names_apart)


def _attempt(
    state: "Mapping[str, Tensor]", name: str, names: Sequence[str], publisher: str,
    candidates: Sequence[dict[str, object]],
) -> _Attempt:  # fmt: skip
    rule = naming(publisher, name)
    table = rule.table(names)
    known = len(table.keys() & state.keys())
    state = rule.completed(state, table)
    if wrong := differences(state, table):
        return _Attempt(publisher, known, len(table.keys() ^ state.keys()), "; ".join(wrong), {}, [])
    state = rule.to_ours(state, names, publisher)
    theirs = {ours: name for name, ours in table.items()}
    shapes = [other_shapes(state, sized(name, candidate, state)) for candidate in candidates]
    nearest = min(shapes, key=len)
    words = few([f"{theirs[ours]} is {shape}" for ours, shape in nearest.items()])
    fitting = [candidate for candidate, wrong in zip(candidates, shapes, strict=True) if not wrong]
    return _Attempt(publisher, known, 0, words, state, fitting)


def _candidates(publisher: str, name: str, arguments: Arguments) -> list[dict[str, object]]:
    """Forms of a network that a publisher has, as the caller wants them; all of them where none of these is wanted."""
    known = forms(publisher, name)
    agreeing = [form for form in known if all(form.get(key, value) == value for key, value in arguments.items())]
    wanted: list[dict[str, object]] = []
    for form in agreeing or known:
        if {**form, **arguments} not in wanted:
            wanted.append({**form, **arguments})
    return wanted


def _as_noted(what: str, note: Note, name: str, arguments: Arguments) -> dict[str, object]:
    """The arguments that a file notes, with those that the caller wants and may want.

    Raises:
        DataError: what the file notes cannot be built, or is another network.
        UsageError: the caller wants others than the file was made with, noted or the builder's defaults.
    """
    try:
        blank(note.name, note.arguments)
    except UsageError as error:  # the file's word, not the caller's
        raise DataError(
            f"{what} note a network that cannot be built ({error}); write them again with convwise.weights.serialise"
        ) from error
    _check_network(what, note.name, name)
    bound = {key: value for key, value in arguments.items() if key not in FREE}
    merged(what, {**defaults(note.name), **note.arguments}, bound)
    return {**note.arguments, **arguments}


def _check_network(what: str, found: str, name: str) -> None:
    if found != name:
        raise DataError(f"{what} are of {found}, not of {name}; ask for {found}, or give another file")


def _foreign(state: "Mapping[str, Tensor]", name: str, nearest: _Attempt) -> str:
    """Say of which network of the same family the tensors are, or else what is wrong with them."""
    module = networks.describe(name).module
    others = [other for other in networks.names() if other != name and networks.describe(other).module == module]
    # a file that shares no name with one of the family is of none of it, and each costs up to a second to build
    fitting = [other for other in others if nearest.names_known and _nearest(state, other, {}).fitting]
    if fitting:
        return f"are not of {name}, but of {' or '.join(fitting)}"
    if nearest.names_apart:
        return (
            f"are not of {name}; of all names known for it, nearest are those of {nearest.publisher}: {nearest.wrong}"
        )
    return f"do not fit {name}: {nearest.wrong}"


def _apart(forms: Sequence[Mapping[str, object]]) -> str:
    """In which arguments forms of a network differ."""
    keys = [key for key in forms[0] if any(form[key] != forms[0][key] for form in forms)]
    return " or ".join(", ".join(f"{key}={form[key]!r}" for key in keys) for form in forms)
