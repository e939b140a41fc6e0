"""A file of the user's: whose names its tensors have, and of which form of the network they are."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import DataError, UsageError
from .filling import blank, classes_of, first_kernel, other_shapes
from .naming import differences
from .store import sha256_of
from .table import OURS, all_published, forms, naming
from .tensors import read

if TYPE_CHECKING:
    from torch import Tensor

Matched = tuple[dict[str, "Tensor"], dict[str, object]]


def match(path: Path, name: str, arguments: Mapping[str, object]) -> Matched:
    """Read a file and give its tensors our names, with the arguments that the network needs.

    A file that is known by its hash needs what is known of it. Of another one with a publisher's names, the arguments
    are those of the publisher's network; where it has several, which differ in what no tensor shows, the caller says.

    Raises:
        DataError: the file is absent, unusable, or of another network.
        UsageError: it may be of several forms of the network, or of none that has these arguments.
    """
    rows = all_published(name)
    state = read(path)
    digest = sha256_of(path)
    for known in rows:
        if known.sha256 and digest.startswith(known.sha256):
            merged = known.merge(arguments)
            wanted = blank(name, merged).state_dict()
            return naming(known.publisher, name).to_ours(state, wanted, f"the weights in {path}"), merged
    misfits: list[tuple[int, str]] = []
    for publisher in (OURS, *dict.fromkeys(known.publisher for known in rows)):
        candidates = [{**form, **arguments} for form in forms(publisher, name)]
        ours = blank(name, candidates[0]).state_dict()
        rule = naming(publisher, name)
        table = rule.table(ours)
        completed = rule.completed(state, table)
        if wrong := differences(completed, table):
            misfits.append((len(table.keys() ^ completed.keys()), f"those of {publisher}: {'; '.join(wrong)}"))
            continue
        state = rule.to_ours(state, ours, str(path))
        return state, _only(state, name, candidates, f"the weights in {path} have the names of {publisher}")
    nearest = min(misfits, key=lambda misfit: misfit[0])[1]
    raise DataError(f"the weights in {path} are not of {name}; of all names known for it, nearest are {nearest}")


def _only(state: "dict[str, Tensor]", name: str, candidates: list[dict[str, object]], what: str) -> dict[str, object]:
    """The one of several forms of a network that the tensors are of."""
    fitting: list[dict[str, object]] = []
    for candidate in candidates:
        if candidate not in fitting and _fits(state, name, candidate):
            fitting.append(candidate)
    if len(fitting) > 1:
        words = " or ".join(", ".join(f"{k}={v!r}" for k, v in form.items()) for form in fitting)
        raise UsageError(f"{what}, where the same tensors may be of {name} with {words}; say which in `arguments`")
    return (fitting or candidates)[0]


def _fits(state: "dict[str, Tensor]", name: str, arguments: Mapping[str, object]) -> bool:
    network = blank(name, arguments, classes_of(blank(name, arguments), state))
    wanted = network.state_dict()
    return not other_shapes(state, wanted, wanted.keys() - {first_kernel(network)})
