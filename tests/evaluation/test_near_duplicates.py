"""Near-duplicates: every pair above the threshold and no other, whatever the sieve leaves out."""

import io
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from convwise import weights
from convwise.data import decoding
from convwise.evaluation import near_duplicates as module
from convwise.evaluation.near_duplicates import ALIKE, near_duplicates
from convwise.runtime.body import prepare_body

Floats = NDArray[np.float32]


def by_hand(features: Floats, alike: float) -> dict[tuple[int, int], float]:
    x = features.astype(np.float64)
    x = (x - x.mean(0)) / np.where(x.std(0) > 1e-8, x.std(0), 1)
    x /= np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
    cosines = x @ x.T
    n = len(x)
    return {(i, j): float(cosines[i, j]) for i in range(n) for j in range(i + 1, n) if cosines[i, j] >= alike}


def crowd(n: int = 300, d: int = 40, seed: int = 0) -> Floats:
    """Random rows; each of the last 60 is one of the first with more and more noise."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, d))
    x[-60:] = x[:60] + np.linspace(0, 1.5, 60)[:, None] * rng.standard_normal((60, d))
    return (x * rng.uniform(0.1, 10, d) + 3).astype(np.float32)  # columns of different scale


@pytest.mark.parametrize("dense", [0, 10**9], ids=["whole blocks", "single pairs"])
@pytest.mark.parametrize("axes", [2, 16, 128])
def test_the_sieve_loses_no_pair_and_adds_none(monkeypatch: pytest.MonkeyPatch, axes: int, dense: int) -> None:
    monkeypatch.setattr(module, "AXES", axes)
    monkeypatch.setattr(module, "BLOCK", 64)
    monkeypatch.setattr(module, "DENSE", dense)
    features = crowd()
    for alike in (0.5, 0.85):
        expected = by_hand(features, alike)
        found = near_duplicates(features, alike, threads=2)
        assert {pair[:2] for pair in found} == expected.keys()
        assert len(expected) > 15
        for pair in found:
            assert pair.cosine == pytest.approx(expected[pair[:2]], abs=1e-5)
        assert [pair.cosine for pair in found] == sorted((pair.cosine for pair in found), reverse=True)


def test_of_too_many_pairs_the_most_alike_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BLOCK", 64)
    features = crowd()
    assert near_duplicates(features, 0.5, most=7) == near_duplicates(features, 0.5)[:7]


def test_rows_that_are_all_alike_and_columns_that_never_change_are_no_error() -> None:
    assert near_duplicates(np.ones((3, 5), np.float32)) == []  # nothing but means: no direction to compare
    assert near_duplicates(np.ones((1, 5), np.float32)) == []


@pytest.mark.usefixtures("shared_cache")
def test_copies_of_photos_pass_the_threshold_and_different_photos_do_not(ants_bees: Path) -> None:
    published = weights.published("efficientnet_lite0")
    assert published is not None
    preprocessing = published.preprocessing
    body = prepare_body(published, preprocessing)
    files = sorted((ants_bees / "val").rglob("*.jpg"))[:60]

    def look(image: Image.Image) -> Floats:
        (row,) = body.frozen.run(preprocessing.apply(image)[None], ["features"])[0]
        return np.asarray(row)

    photos = [decoding.small(path.read_bytes(), 1000) for path in files]
    copies = []
    for place, photo in enumerate(photos[:8]):
        if place % 2:
            copies.append(photo.resize((photo.width * 3 // 4, photo.height * 3 // 4), Image.Resampling.LANCZOS))
        else:
            photo.save(file := io.BytesIO(), "JPEG", quality=85)
            copies.append(Image.open(file))
    found = near_duplicates(np.stack([look(image) for image in (*photos, *copies)]))
    assert {pair[:2] for pair in found} == {(i, 60 + i) for i in range(8)}
    assert all(pair.cosine >= ALIKE for pair in found)
