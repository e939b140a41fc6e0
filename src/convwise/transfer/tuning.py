"""Training from published weights: what stays frozen, what goes on from them, and what begins anew."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from torch import Tensor, nn

from .. import networks
from ..cost import CostReport
from ..errors import UsageError
from ..networks.cutting import behind
from .pieces import Piece

SHARE_FROZEN = 1 / 2  # of the multiply-accumulates, at most, where nobody names a cut


class KeptNorm(nn.BatchNorm2d):
    """Batch norm that keeps its mean and variance in training too; scale and shift learn.

    Those of a batch of 32 photos, or of 2,000, are no better than the published ones of a million.
    """

    def train(self, mode: bool = True) -> Self:  # noqa: ARG002
        """Stay as in evaluation."""
        return super().train(False)


@dataclass(frozen=True)
class Tuning:
    """What a training from published weights freezes and draws anew.

    Attributes:
        freeze: cut up to which all is frozen, parameters and statistics; None trains everything.
        reset_from: cut behind which the weights are drawn anew; None draws the last layer alone.
        own_rear: whether layers of the user's are the head.
    """

    freeze: str | None = None
    reset_from: str | None = None
    own_rear: bool = False

    def trained(self, network: nn.Module) -> nn.Module:
        """The part of a network that is trained, under the names that it has in the whole.

        Its batch norms keep the published statistics, but where it begins anew.
        """
        anew = self._anew(network)
        part = behind(network, self.freeze) if self.freeze else network
        for name, norm in list(part.named_modules()):
            if isinstance(norm, nn.BatchNorm2d) and not f"{name}.weight".startswith(anew):
                kept = KeptNorm(norm.num_features, norm.eps)
                kept.load_state_dict(norm.state_dict(), assign=True)
                part.set_submodule(name, kept.train(False))
        return part

    def take_over(self, network: nn.Module, state: Mapping[str, Tensor]) -> None:
        """Put published weights into a fresh network, but where it begins anew; one without numbers stays so."""
        if next(network.parameters()).is_meta:
            return
        anew = self._anew(network)
        kept = {name: state[name] for name in network.state_dict() if not name.startswith(anew)}
        left = network.load_state_dict(kept, strict=False)
        assert all(name.startswith(anew) for name in left.missing_keys)

    def _anew(self, network: nn.Module) -> tuple[str, ...]:
        """How the names begin whose numbers stay as they were drawn."""
        if self.own_rear:
            return ("head.",)
        if self.reset_from:
            return tuple(behind(network, self.reset_from).state_dict())
        return (f"{_last(network)}.",)

    def pieces(self, network: nn.Module, report: CostReport) -> tuple[Piece, ...]:
        """What happens to each part of the whole network, from the image on; `report` is of it."""
        points = networks.cuts(network)
        frozen = points.index(networks.canonical_cut(network, self.freeze)) if self.freeze else -1
        reset = points.index(networks.canonical_cut(network, self.reset_from)) if self.reset_from else len(points)
        names = [*points[:-1], "features", "logits"]
        last = _last(network)
        found: dict[tuple[str, str], tuple[set[str], int, int]] = {}
        for layer in report.layers:
            place = _place(layer.name, names, last)
            state = _state(place, frozen, reset, len(names) - 1)
            blocks, params, macs = found.get((layer.stage, state), (set(), 0, 0))
            found[layer.stage, state] = ({*blocks, names[place]}, params + layer.params, macs + layer.macs)
        pieces = (Piece(stage, len(blocks), s, *sums) for (stage, s), (blocks, *sums) in found.items())
        return tuple(piece for piece in pieces if piece.params or piece.macs)  # pools have nothing to train


def _last(network: nn.Module) -> str:
    """Name of the last layer."""
    *_, (name, _layer) = network.get_submodule("head").named_children()
    return f"head.{name}"


def _place(layer: str, names: list[str], last: str) -> int:
    """Number of the part that a layer belongs to."""
    if layer.startswith("stage"):
        return names.index(".".join(layer.split(".")[:2]))
    if layer == last or layer.startswith(f"{last}."):
        return len(names) - 1
    return names.index("stem") if layer.startswith("stem") else len(names) - 2


def _state(place: int, frozen: int, reset: int, last: int) -> str:
    """What happens to part number `place`."""
    if place <= frozen:
        return "frozen"
    if place == last:
        return "new"
    return "re-initialised" if place > reset else "trained"


def usual_freeze(network: nn.Module, report: CostReport) -> str:
    """The last stage up to which at most half of the multiply-accumulates lie; the first where all have more.

    Source: measured; EfficientNet-Lite0 is frozen up to its fourth stage so, 8 of 16 blocks. 2,000 images of CIFAR-10
    gained two points of top-1 over 11 frozen blocks (seed 0, docs/transfer.md), for 1.6 times the seconds.
    """
    points = list(dict.fromkeys(point.partition(".")[0] for point in networks.cuts(network)[:-1]))
    macs = {stage.name: stage.macs for stage in report.stages}
    done, found = 0, points[0]
    for point in points[:-1]:
        done += macs.get(point, 0)
        if done > SHARE_FROZEN * report.macs:
            break
        found = point
    return found


def check_order(network: nn.Module, freeze: str | None, reset_from: str | None) -> None:
    """Check that the cuts exist, leave more than the last layer, and draw no weights anew that would then be frozen.

    Raises:
        UsageError: they do not.
    """
    points, asked = networks.cuts(network), {"freeze": freeze, "reset-from": reset_from}
    place = {name: points.index(networks.canonical_cut(network, cut, name)) for name, cut in asked.items() if cut}
    last = len(points) - 1
    if place.get("freeze") == last:
        raise UsageError(
            f"freeze {freeze!r} leaves the softmax layer alone to train, which is transfer 'head'; take that, or a cut "
            f"up to {points[-2]!r}"
        )
    if place.get("reset-from") == last:
        raise UsageError(
            f"reset-from {reset_from!r} has no effect: the softmax layer behind it is new in any case; leave it out, "
            f"or take a cut up to {points[-2]!r}"
        )
    if place.get("reset-from", last) < place.get("freeze", -1):
        raise UsageError(
            f"reset-from {reset_from!r} lies in the frozen part, which ends at {freeze!r}; random weights must be "
            "trained, so freeze less or reset from there on"
        )
