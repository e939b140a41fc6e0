import hashlib
import io
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from convwise.data import decoding
from convwise.data import files as files_module
from convwise.data.files import FileImages
from convwise.data.reduction import Reduction
from convwise.data.samples import Listing, Sample, list_folder
from convwise.data.sources import Files
from convwise.errors import DataError, MachineError

WHOLE = Reduction(channels=3, side=256, resize=False)
ORIENTATION = 0x0112


def picture(height: int = 61, width: int = 83) -> Image.Image:
    y, x = np.mgrid[:height, :width]
    levels = np.stack([x * 3 % 256, y * 4 % 256, (x * y // 9) % 256], axis=2)
    return Image.fromarray(levels.astype(np.uint8))


def jpeg(image: Image.Image, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, "JPEG", **options)
    return out.getvalue()


def load(path: Path, data: bytes, reduction: Reduction = WHOLE) -> NDArray[np.uint8]:
    path.write_bytes(data)
    return of(path, reduction)[0]


def of(path: Path, reduction: Reduction = WHOLE) -> FileImages:
    """One file."""
    sample = Sample(path.name, "a")
    return FileImages(Listing(path.parent, (sample,), Files(path.parent)), [sample], reduction)


@pytest.mark.parametrize(
    "options",
    [{"quality": q, "subsampling": s, "progressive": p}
     for q in (30, 92) for s in ("4:4:4", "4:2:2", "4:2:0") for p in (False, True)]
    + [{"optimize": True, "restart_marker_blocks": 3}, {"comment": b"hello"}, {"keep_rgb": True}],
)  # fmt: skip
def test_opencv_gives_the_pixels_of_the_one_decoder(tmp_path: Path, options: dict[str, Any]) -> None:
    for size in ((61, 83), (64, 64), (1, 1), (17, 200)):
        data = jpeg(picture(*size), **options)
        expected = decoding.decode(data, [WHOLE]).pixels[0]
        assert np.array_equal(load(tmp_path / "photo.jpg", data), expected)
        assert files_module._opencv(data, WHOLE) is not None  # it was OpenCV


def test_orientation_grey_and_cmyk_go_by_the_one_decoder(tmp_path: Path) -> None:
    turned = Image.Exif()
    turned[ORIENTATION] = 6
    upright = Image.Exif()
    upright[ORIENTATION] = 1
    for data, quick in (
        (jpeg(picture(), exif=turned), False),
        (jpeg(picture(), exif=upright), True),
        (jpeg(picture().convert("L")), False),
        (jpeg(picture().convert("CMYK")), False),
    ):
        assert np.array_equal(load(tmp_path / "photo.jpg", data), decoding.decode(data, [WHOLE]).pixels[0])
        assert (files_module._opencv(data, WHOLE) is not None) == quick


def test_large_files_are_decoded_smaller_as_everywhere(tmp_path: Path) -> None:
    small = Reduction(channels=3, side=10, resize=False)
    data = jpeg(picture(100, 120))
    found = load(tmp_path / "photo.jpg", data, small)
    assert found.shape == (25, 30, 3)
    assert np.array_equal(found, decoding.decode(data, [small]).pixels[0])


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "GIF", "BMP", "TIFF"])
def test_other_formats_and_wrong_extensions_are_read(tmp_path: Path, kind: str) -> None:
    out = io.BytesIO()
    picture().save(out, kind)
    expected = decoding.decode(out.getvalue(), [WHOLE]).pixels[0]
    assert np.array_equal(load(tmp_path / "photo.jpg", out.getvalue()), expected)


def test_reduced_and_grey_images_are_made_as_asked(tmp_path: Path) -> None:
    data = jpeg(picture())
    for reduction in (Reduction(channels=3, side=20), Reduction(channels=1, side=20, resize=False)):
        expected = decoding.decode(data, [reduction]).pixels[0]
        assert np.array_equal(load(tmp_path / "photo.jpg", data, reduction), expected)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "zero bytes"),
        (b"no image at all", "not an image that can be read (15 bytes)"),
        (jpeg(picture())[:-200], "cut short (truncated)"),
    ],
)
def test_a_file_that_became_unreadable_is_an_error(tmp_path: Path, data: bytes, reason: str) -> None:
    path = tmp_path / "photo.jpg"
    text = f"image 'photo.jpg' cannot be read: {reason}; look at the data with `convwise scan`"
    with pytest.raises(DataError, match=f"^{re.escape(text)}$"):
        load(path, data)


def test_a_file_that_was_replaced_is_an_error(tmp_path: Path) -> None:
    path, data = tmp_path / "photo.jpg", jpeg(picture())
    for others, same in ((data, True), (jpeg(picture(), quality=30), False), (b"", False)):
        path.write_bytes(others)
        [sample] = of(path).samples
        hashed = replace(sample, sha256=hashlib.sha256(data).hexdigest())
        images = FileImages(Listing(path.parent, (hashed,), Files(path.parent)), [hashed], WHOLE)
        if same:
            assert np.array_equal(images[0], of(path)[0])
            continue
        text = (
            "image 'photo.jpg' was changed after training began; put back the file as it was and repeat the command, "
            "or begin anew with --overwrite"
        )
        with pytest.raises(DataError, match=f"^{re.escape(text)}$"):
            images[0]


def test_a_file_that_is_out_of_reach_keeps_what_was_trained(tmp_path: Path) -> None:
    images = of(tmp_path / "gone.jpg")
    assert len(images) == 1
    text = (
        "image 'gone.jpg' cannot be read: No such file or directory; what was trained is kept. "
        "See that the files can be read, and repeat the command"
    )
    with pytest.raises(MachineError, match=f"^{re.escape(text)}$"):
        images[0]


@pytest.mark.slow
def test_real_photos_are_the_same_by_both_decoders(ants_bees: Path) -> None:
    listing, quick = list_folder(ants_bees), 0
    for sample in listing.samples:
        data = listing.read(sample)
        found = files_module._opencv(data, WHOLE)
        if found is not None:
            quick += 1
            assert np.array_equal(found, decoding.decode(data, [WHOLE]).pixels[0])
    assert quick > 390  # of 397 photos and one GIF
