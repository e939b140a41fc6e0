"""What each sample gets in each epoch: draws, all at once, without having seen an image.

Nothing here depends on the size of an image or on what else is drawn: a sample's draw follows from (seed, epoch,
sample), and each operation has random words of its own, so turning one off leaves the others as they were.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from itertools import repeat
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from . import hashing, operations
from .operations import Floats, Source, Uniforms
from .record import Augmentation

# Stream -> the word of a sample's state that it reads; never renumber them: a seed would give other images.
STREAMS = {
    name: number
    for number, name in enumerate(
        ("mirror", "size", "place", "turn", "warp", "tone", "hue", "channels", "pca", "pca 2", "erase", "erased place",
         "mix", "mixed place")
    )
}  # fmt: skip
CENTRE = float(np.nextafter(np.float32(0.5), np.float32(0)))  # of room for n pixels, the lower half: n // 2


class Draw(NamedTuple):
    """What one sample gets, in terms that hold for any size of image.

    Attributes:
        size: the crop's width and height, in geometric means of the image's sides, with `zoom` in its shorter one;
            None is the evaluation's crop.
        place: where the crop lies in its room, from 0 (left, top) to 1.
        turn: 2x2 matrix in rows, from a point of the output to one of the crop, both seen from their centres.
        grid: displacements (nodes, nodes, 2), x and y in shares of the side; None for none.
        colour: 3x4 matrix on RGB levels; None for none.
        contrast: share of the image's own mean luma that is added to every level.
        erased: width and height of the erased rectangle in shares of the side, and its place; None for none.
        mixed: "mixup" or "cutmix" with the partner; empty for neither.
        share: of this image in the mixture, before cutmix cuts its rectangle at the border.
        mixed_place: centre of cutmix's rectangle, shares of the side.
    """

    size: tuple[float, float] | None = None
    place: tuple[float, float] = (CENTRE, CENTRE)
    turn: tuple[float, float, float, float] = (1.0, 0.0, 0.0, 1.0)
    grid: Floats | None = None
    colour: Floats | None = None
    contrast: float = 0.0
    erased: tuple[float, float, float, float] | None = None
    mixed: str = ""
    share: float = 1.0
    mixed_place: tuple[float, float] = (0.5, 0.5)


@dataclass(frozen=True)
class Draws:
    """The draws of n samples, one array a property (what is off is None), samples last; an item is a `Draw`."""

    augmentation: Augmentation
    n: int
    size: Floats | None = None  # (2, n)
    place: Floats | None = None  # (2, n)
    turn: Floats | None = None  # (4, n)
    grid_words: hashing.Words | None = None  # (n,): a grid is made when it is asked for
    colour: Floats | None = None  # (3, 4, n)
    contrast: Floats | None = None  # (n,)
    erased: Floats | None = None  # (4, n); width 0: none
    mixed: NDArray[np.bool_] | None = None  # (n,): whether by cutmix
    share: Floats | None = None  # (n,)
    mixed_place: Floats | None = None  # (2, n)

    def __len__(self) -> int:
        return self.n

    def __iter__(self) -> Iterator[Draw]:
        """All of them, quicker than one by one."""
        return map(Draw._make, zip(*self._columns(), strict=True))

    def __getitem__(self, i: int) -> Draw:
        """The draw of sample number i of those asked for."""
        if not 0 <= i < self.n:
            raise IndexError(i)
        values: dict[str, Any] = {field.name: getattr(self, field.name) for field in fields(self)}
        arrays: dict[str, Any] = {name: v[..., [i]] for name, v in values.items() if isinstance(v, np.ndarray)}
        return next(iter(replace(self, n=1, **arrays)))

    def _columns(self) -> Iterator[Iterable[Any]]:
        """Each field of all draws, in the order of `Draw`."""
        default = Draw()
        yield _items(self.size, self.n, default.size)
        yield _items(self.place, self.n, default.place)
        yield _items(self.turn, self.n, default.turn)
        yield repeat(None, self.n) if self.grid_words is None else operations.grids(self.grid_words, self.augmentation)
        yield repeat(None, self.n) if self.colour is None else np.ascontiguousarray(np.moveaxis(self.colour, 2, 0))
        yield _items(self.contrast, self.n, default.contrast)
        yield repeat(None, self.n) if self.erased is None else map(_rectangle, self.erased.T.tolist())
        yield repeat("", self.n) if self.mixed is None else np.where(self.mixed, "cutmix", "mixup").tolist()
        yield _items(self.share, self.n, default.share)
        yield _items(self.mixed_place, self.n, default.mixed_place)


def draw(augmentation: Augmentation, seed: int, epoch: int, samples: NDArray[Any] | Sequence[int]) -> Draws:
    """Draw what each of the samples gets in an epoch.

    Args:
        augmentation: the strengths.
        seed: of the training.
        epoch: its number.
        samples: number of each sample in the training set, (n,).
    """
    state = hashing.states(seed, epoch, np.asarray(samples, np.int64))

    def uniforms(stream: str) -> Uniforms:
        return hashing.uniforms(hashing.word(state, STREAMS[stream]))

    return compose(augmentation, uniforms, hashing.word(state, STREAMS["warp"]))


def compose(augmentation: Augmentation, uniforms: Source, grid_words: hashing.Words) -> Draws:
    """Make draws of random numbers that are given, as `draw` does; a picture takes them evenly.

    Args:
        augmentation: the strengths.
        uniforms: three numbers in (0, 1) a sample, (n,) each, for a key of `STREAMS`.
        grid_words: seed of each sample's grid, (n,).
    """
    a, n = augmentation, len(grid_words)
    colour, contrast = operations.colours(a, uniforms, n)
    mixed, share, mixed_place = operations.mixtures(a, uniforms)
    return Draws(
        augmentation=a,
        n=n,
        size=operations.sizes(a, uniforms),
        place=None if a.area is None and a.zoom is None and not a.shift else np.stack(uniforms("place")[:2]),
        turn=operations.turns(a, uniforms, n),
        grid_words=grid_words if a.warp else None,
        colour=colour,
        contrast=contrast,
        erased=operations.erased(a, uniforms),
        mixed=mixed,
        share=share,
        mixed_place=mixed_place,
    )


def _items(array: Floats | None, n: int, default: Any) -> Iterable[Any]:
    """The numbers of (n,), or the columns of (k, n) as tuples."""
    if array is None:
        return repeat(default, n)
    return array.tolist() if array.ndim == 1 else zip(*array.tolist(), strict=True)


def _rectangle(numbers: list[float]) -> tuple[float, ...] | None:
    return tuple(numbers) if numbers[0] else None
