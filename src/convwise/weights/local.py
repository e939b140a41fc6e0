"""A file of the user's: whose names its tensors have, and of which form of the network they are."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import DataError, UsageError
from .filling import blank, classes_of, first_kernel, other_shapes
from .naming import differences
from .published import merged
from .table import all_published, forms, naming, publishers
from .tensors import read

if TYPE_CHECKING:
    from torch import Tensor

Matched = tuple[dict[str, "Tensor"], dict[str, object]]


def match(path: Path, name: str, arguments: Mapping[str, object]) -> Matched:
    """Read a file and give its tensors our names, with the arguments that the network needs.

    A file that is known by its hash needs what is known of it, and a file that notes the arguments needs these. Of
    another one, with our names or a publisher's, the arguments are those of a form of the network that our builder or
    the publisher has; where several fit, which differ in what no tensor shows, the caller says.

    Raises:
        DataError: the file is absent, unusable, or of another network.
        UsageError: it may be of several forms of the network, or of none that has these arguments.
    """
    rows = all_published(name)
    state, digest, noted = read(path)
    what = f"the weights in {path}"
    for known in rows:
        if known.sha256 and digest.startswith(known.sha256):
            needed = known.merge(arguments)
            wanted = blank(name, needed).state_dict()
            return naming(known.publisher, name).to_ours(state, wanted, what), needed
    exact = None if noted is None else [merged(what, noted, arguments)]
    misfits: list[tuple[int, str]] = []
    for publisher in publishers(name):
        candidates = exact or [{**form, **arguments} for form in forms(publisher, name)]
        ours = blank(name, candidates[0]).state_dict()
        rule = naming(publisher, name)
        table = rule.table(ours)
        completed = rule.completed(state, table)
        if wrong := differences(completed, table):
            misfits.append((len(table.keys() ^ completed.keys()), f"those of {publisher}: {'; '.join(wrong)}"))
            continue
        state = rule.to_ours(state, ours, str(path))
        return state, _only(state, name, candidates, f"{what} have the names of {publisher}")
    nearest = min(misfits, key=lambda misfit: misfit[0])[1]
    raise DataError(f"{what} are not of {name}; of all names known for it, nearest are {nearest}")


def _only(state: "dict[str, Tensor]", name: str, candidates: list[dict[str, object]], what: str) -> dict[str, object]:
    """The one of several forms of a network that the tensors are of."""
    fitting: list[dict[str, object]] = []
    for candidate in candidates:
        if candidate not in fitting and _fits(state, name, candidate):
            fitting.append(candidate)
    if len(fitting) > 1:
        open_ = [key for key in fitting[0] if any(form[key] != fitting[0][key] for form in fitting)]
        words = " or ".join(", ".join(f"{key}={form[key]!r}" for key in open_) for form in fitting)
        raise UsageError(f"{what}, where the same tensors may be of {name} with {words}; say which in `arguments`")
    return (fitting or candidates)[0]


def _fits(state: "dict[str, Tensor]", name: str, arguments: Mapping[str, object]) -> bool:
    network = blank(name, arguments, classes_of(blank(name, arguments), state))
    wanted = network.state_dict()
    return not other_shapes(state, wanted, wanted.keys() - {first_kernel(network)})
