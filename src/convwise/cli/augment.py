"""`convwise augment`."""

import io
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Argument, Option

from ..data.text import counted
from .files import check_picture, write_picture
from .output import say

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

    from ..data.augmentation import Augmentation
    from ..data.decoding import Preparation
    from ..data.preprocessing import Preprocessing
    from ..report.seen import Seen

    Photos = list[NDArray[np.uint8]]

PHOTOS = 48  # are read: the first ones are shown, all give the principal colours
LARGEST = 2048  # side of an input that is shown in a tile of 512 at most


def augment(
    data: Annotated[
        Path, Argument(metavar="DATA", help="Folder of labelled images, folder of IDX files, or CSV manifest.")
    ],
    out: Annotated[Path, Option(metavar="FILE.png", help="Where the picture goes.")],
    network: Annotated[
        str, Option(metavar="NAME", help="Whose training is shown below; one of those that `convwise networks` lists.")
    ] = "efficientnet_lite0",
    recipe: Annotated[
        str | None, Option(metavar="NAME|FILE", help="Of that training: modern (the default), paper, or a TOML file.")
    ] = None,
    resolution: Annotated[
        int | None, Option(metavar="PX", help="Input side of that training; the network's own by default.")
    ] = None,
    seed: Annotated[int, Option(metavar="N", help="Of the photos and of what is drawn.")] = 0,
    size: Annotated[int, Option(metavar="PX", help="Side of each small picture.")] = 128,
    overwrite: Annotated[bool, Option("--overwrite", help="Replace the file of --out.")] = False,
) -> None:
    """Show what augmentation does to your images.

    One picture: each operation alone, then some images as `fit --transfer none` would train on them.
    """
    from ..data.reduction import Reduction
    from ..errors import UsageError

    check_picture(out, "out", ".png", overwrite=overwrite)
    if not 96 <= size <= 512:  # captions need the room
        raise UsageError(f"size must be 96 to 512 pixels, got {size}")
    if resolution is not None and not 1 <= resolution <= LARGEST:
        raise UsageError(f"resolution must be 1 to {LARGEST} pixels, got {resolution}")
    how, preprocessing = _training(network, recipe, resolution)
    large, reduction = Reduction(channels=3, side=512), Reduction.for_training(preprocessing, how)
    photos, images = _photos(data, seed, [large, reduction])
    words = f"{network} from scratch, recipe {recipe or 'modern'}"
    seen = _seen(photos, images, how, preprocessing, words)
    sheet = _draw(photos, seen, f"Augmentation of {data.resolve().name}", seed=seed, side=size)
    file = io.BytesIO()
    sheet.save(file, "PNG")
    write_picture(out, "out", file.getvalue())
    say(f"{out}: {sheet.width} x {sheet.height} pixels, from {counted(len(photos), 'image')}")


def _seen(
    photos: "Photos", images: "Photos", how: "Augmentation", preprocessing: "Preprocessing", words: str
) -> "Seen":
    """What a training sees of the images, whose colours the photos give."""
    import numpy as np

    from ..data.augmentation.colour import with_own_colours
    from ..report.seen import Seen

    mean = np.mean([image.mean(axis=(0, 1)) for image in images], axis=0)  # what is erased gets it
    return Seen(images, with_own_colours(how, photos), replace(preprocessing, mean=tuple(mean.tolist())), words)


def _draw(photos: "Photos", seen: "Seen", title: str, *, seed: int, side: int) -> "Image":
    from ..data.augmentation.colour import principal_colours
    from ..report.sheet import draw_sheet

    return draw_sheet(photos, principal_colours(photos), seen, title, seed=seed, side=side)


def _training(network: str, text: str | None, resolution: int | None) -> "tuple[Augmentation, Preprocessing]":
    """What a training changes, and what its network takes.

    Raises:
        UsageError: a recipe that cannot be used, or a part of it that has no effect with the network.
    """
    from ..training.recipe import Recipe
    from ..training.recipes import check_effect_on, preprocessing_for, recipe_for
    from .fit import read_recipe

    recipe = read_recipe(text)
    if isinstance(recipe, Recipe):
        check_effect_on(network, recipe)
    else:
        recipe = recipe_for(network, recipe or "modern", resolution)
    return recipe.augmentation, preprocessing_for(network, resolution)


def _photos(data: Path, seed: int, reductions: "Sequence[Preparation]") -> "tuple[Photos, ...]":
    """Images in an order that the seed shuffles, by each reduction; those that cannot be read are passed over."""
    from ..data import decoding
    from ..data.augmentation.batches import Epoch
    from ..data.inputs import list_samples
    from ..errors import DataError

    listing = list_samples(data)
    photos: list[tuple[NDArray[np.uint8], ...]] = []
    for i in Epoch.shuffled(seed, 0, [len(listing.samples)]).order.tolist():
        try:
            photos.append(decoding.decode(listing.read(listing.samples[i]), reductions).pixels)
        except (OSError, decoding.UnreadableImageError):
            continue
        if len(photos) == PHOTOS:
            break
    if not photos:
        raise DataError(
            f"none of the {len(listing.samples)} image files in {str(data)!r} can be read; `convwise scan` says why"
        )
    return tuple(map(list, zip(*photos, strict=True)))
