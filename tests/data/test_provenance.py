import hashlib

import pytest

from convwise.data.provenance import ImageSet

A, B = hashlib.sha256(b"a").hexdigest(), hashlib.sha256(b"b").hexdigest()


def test_a_set_knows_its_images() -> None:
    images = ImageSet.of([A, A, "00" * 32])
    assert len(images) == 2
    assert A in images
    assert "00" * 32 in images
    assert B not in images
    assert A[2:] + "00" not in images  # the bytes are compared in their places
    assert A not in ImageSet()


def test_the_order_of_the_images_does_not_show() -> None:
    hashes = [hashlib.sha256(bytes([i])).hexdigest() for i in range(9)]
    assert ImageSet.of(hashes).to_text() == ImageSet.of(reversed(hashes)).to_text()


def test_a_set_survives_its_text() -> None:
    images = ImageSet.of([A, B])
    assert ImageSet.from_text(images.to_text()) == images
    assert ImageSet.from_text("") == ImageSet()


def test_a_text_cut_short_is_refused() -> None:
    with pytest.raises(ValueError, match="a set of images is cut short: 3 bytes"):
        ImageSet.from_text("AAAA")
