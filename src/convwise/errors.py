"""What can go wrong for a user of convwise, as one small tree.

ConvwiseError            every error that a user can cause; the command line prints it in one line, without traceback
+ UsageError             exit 2: an option, a value, an output folder that is already used
+ DataError              exit 3: data, weights, a classifier or a checkpoint that is absent or unusable
  + CheckpointError      exit 3: of an interrupted training; it stays where it is
  + DivergedError        exit 3: a training that came to no weights at all
+ BudgetError            exit 4: no candidate fits what was asked
+ GateError              exit 4: an artefact that does not pass its gate
+ MissingExtraError      exit 5: an optional dependency is not installed
+ MachineError           exit 6: disk, memory or network gave out; what was finished is kept
+ NoRoomError            exit 1: what is wanted cannot be kept, which is raised as one of the two below alone
  + NoCacheRoomError     exit 2: more than the cache may take, or numbers that its type cannot hold
  + NoMachineRoomError   exit 6: more than the disk has free, or than there is memory

A message says what, where, got, allowed, and the next step.
"""

import difflib
from collections.abc import Iterable, Mapping


class ConvwiseError(Exception):
    """Base of every error that a user can cause."""

    exit_code = 1


class UsageError(ConvwiseError, ValueError):
    """An option, a value or an output folder that cannot be used."""

    exit_code = 2


class DataError(ConvwiseError):
    """Data, weights, a classifier or a checkpoint that is absent or unusable."""

    exit_code = 3


class CheckpointError(DataError):
    """A checkpoint of an interrupted training that cannot be used; it stays where it is."""


class DivergedError(DataError):
    """A training that came to no weights at all: its loss was no number in the first epoch already."""


class BudgetError(ConvwiseError):
    """No candidate fits the budget."""

    exit_code = 4


class GateError(ConvwiseError):
    """An artefact that does not pass its gate."""

    exit_code = 4


class MissingExtraError(ConvwiseError):
    """An optional dependency that is not installed; the message has the pip line."""

    exit_code = 5


class MachineError(ConvwiseError):
    """Disk, memory or network gave out; what was finished is kept."""

    exit_code = 6


class NoRoomError(ConvwiseError):
    """What is wanted cannot be kept; what can be had without it goes on."""


class NoCacheRoomError(NoRoomError, UsageError):
    """More than the cache may take, or numbers that its type cannot hold."""


class NoMachineRoomError(NoRoomError, MachineError):
    """More than the disk has free, or than there is memory."""


def one_of(
    what: str, got: object, allowed: Iterable[str], *, listed_by: str = "", meant: Mapping[str, str] | None = None
) -> UsageError:  # fmt: skip
    """Build the error for a name that is not among `allowed`, with the nearest ones that are.

    Args:
        what: is named.
        got: the name.
        allowed: the names there are.
        listed_by: command that lists them, where they are too many for one line.
        meant: other words, and which name each of them stands for.
    """
    names, others = list(allowed), meant or {}
    known = dict.fromkeys(names) | dict.fromkeys(others)
    close = difflib.get_close_matches(str(got), known, n=3 if listed_by else 1)
    near = [repr(name) for name in dict.fromkeys(others.get(name, name) for name in close)]
    hint = f"; did you mean {' or '.join(near)}?" if near else ""
    choice = f"the {len(names)} that `{listed_by}` lists" if listed_by else ", ".join(names)
    return UsageError(f"{what} must be one of {choice}, got {got!r}{hint}")
