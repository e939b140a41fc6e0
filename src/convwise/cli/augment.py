"""`convwise augment`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Argument, Option

from .output import say

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

PHOTOS = 48  # are read: the first ones are shown, all give the principal colours


def augment(
    data: Annotated[Path, Argument(metavar="DATA", help="Folder or CSV manifest of labelled images.")],
    out: Annotated[Path, Option(metavar="FILE.png", help="Where the picture goes.")],
    seed: Annotated[int, Option(metavar="N", help="Of the photos and of what is drawn.")] = 0,
    size: Annotated[int, Option(metavar="PX", help="Side of each small picture.")] = 128,
) -> None:
    """Show what augmentation does to your images.

    One picture: each operation alone, then all of them as training draws them.
    """
    from ..data.augmentation.colour import principal_colours
    from ..errors import UsageError
    from ..report.sheet import draw_sheet

    if out.suffix.lower() != ".png":
        raise UsageError(f"out must end in .png, got {str(out)!r}")
    if not 96 <= size <= 512:  # captions need the room
        raise UsageError(f"size must be 96 to 512 pixels, got {size}")
    photos = _photos(data, seed)
    sheet = draw_sheet(photos, principal_colours(photos), f"Augmentation of {data.name}", seed=seed, side=size)
    try:
        sheet.save(out)
    except OSError as error:
        raise UsageError(f"--out {str(out)!r} cannot be written: {error.strerror or error}") from error
    say(f"{out}: {sheet.width} x {sheet.height} pixels, from {len(photos)} images")


def _photos(data: Path, seed: int) -> "list[NDArray[np.uint8]]":
    """Images in an order that the seed shuffles; those that cannot be read are passed over."""
    from ..data import decoding
    from ..data.augmentation.batches import Epoch
    from ..data.inputs import list_samples
    from ..data.reduction import Reduction
    from ..errors import DataError

    listing = list_samples(data)
    reduction = Reduction(channels=3, side=512)
    photos: list[NDArray[np.uint8]] = []
    for i in Epoch.shuffled(seed, 0, [len(listing.samples)]).order.tolist():
        try:
            photos += decoding.decode(listing.read(listing.samples[i]), [reduction]).pixels
        except (OSError, decoding.UnreadableImageError):
            continue
        if len(photos) == PHOTOS:
            break
    if not photos:
        raise DataError(
            f"none of the {len(listing.samples)} image files in {str(data)!r} can be read; `convwise scan` says why"
        )
    return photos
