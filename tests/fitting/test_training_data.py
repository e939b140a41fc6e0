"""What a network that is trained from scratch is given."""

import hashlib
import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from convwise.data.augmentation import Augmentation
from convwise.data.augmentation.colour import principal_colours
from convwise.data.preprocessing import Preprocessing
from convwise.data.reduction import Reduction
from convwise.data.samples import Listing, Sample
from convwise.data.sources import Files
from convwise.errors import DataError
from convwise.fitting.from_scratch import FromScratch
from convwise.fitting.options import Options
from convwise.fitting.task import Task
from convwise.fitting.trained_candidate import TrainedCandidate
from convwise.fitting.training_data import FROM_FILES, TrainingData, pixel_statistics, training_data
from convwise.fitting.views import Views
from convwise.training.batches import Augmented, InMemory
from convwise.training.recipe import Recipe

COLOUR = Preprocessing(resolution=8, crop=1.0, mean=(127.5,) * 3, std=(127.5,) * 3)
MOVED = Recipe(batch=4, augmentation=Augmentation(area=(1.0, 1.0), ratio=(2.0, 2.0)))


def task(**changes: Any) -> Task:
    """Ten samples: six to learn from, two held out, two to measure."""
    train = np.arange(10) < 8
    held_out = train & (np.arange(10) >= 6)
    found = Task(
        listing=listing(Path()), samples=listing(Path()).samples,
        labels=np.arange(10) % 3, num_classes=3, train=train, held_out=held_out, val=np.zeros(10, bool),
        folds=np.zeros(10, np.int64), compare=held_out, balance=False,
    )  # fmt: skip
    return replace(found, **changes)


def listing(folder: Path) -> Listing:
    samples = tuple(Sample(f"{i}.png", "a", sha256=f"{i:064x}") for i in range(10))
    return Listing(folder, samples, Files(folder))


def rows() -> list[Any]:
    """Pixels as an evaluation sees them, and whole images of 8 x 16 pixels, whose middle these are."""
    whole = np.random.default_rng(0).integers(0, 256, (10, 8, 16, 3), np.uint8)
    return [np.ascontiguousarray(whole[:, :, 4:12]), list(whole)]


def make(recipe: Recipe, given: Task | None = None, *, threads: int = 1) -> TrainingData:
    return training_data(rows(), given or task(), recipe, COLOUR, threads=threads)


@pytest.mark.parametrize("recipe", [Recipe(batch=4), MOVED])
def test_what_chooses_is_seen_as_in_an_evaluation(recipe: Recipe) -> None:
    data, pixels = make(recipe), rows()[0]
    assert data.learn.tolist() == [True] * 6 + [False] * 4
    assert data.choose.tolist() == [False] * 6 + [True] * 2 + [False] * 2
    assert np.array_equal(data.judged.pixels, pixels[6:8])
    assert data.judged.labels.tolist() == [0, 1]
    assert data.preprocessing.mean == pytest.approx(pixels[:6].mean(axis=(0, 1, 2)))


def test_a_recipe_that_changes_nothing_takes_the_pixels_as_they_are() -> None:
    fit = make(Recipe(batch=4)).fit
    assert isinstance(fit, InMemory)
    assert np.array_equal(fit.images.pixels, rows()[0][:6])


def test_a_recipe_that_changes_images_sees_all_of_them() -> None:
    fit = make(MOVED).fit
    assert isinstance(fit, Augmented)
    seen = list(fit.epoch(0, 0))
    labels = torch.cat([batch.labels for batch in seen]).tolist()
    assert sorted(labels) == [0, 0, 1, 1, 2, 2]
    # the crop is the whole image, so each mean is that of 16 columns, not that of the middle 8
    means = sorted(float(x) for batch in seen for x in batch.pixels.float().mean(dim=(1, 2, 3)))
    assert means == pytest.approx(sorted(image.mean() for image in rows()[1][:6]), abs=0.7)
    assert means != pytest.approx(sorted(image.mean() for image in rows()[0][:6]), abs=0.7)


OWN = Augmentation(pca=0.1, pca_colours="own")


def test_own_colours_are_those_of_the_whole_images_to_learn_from() -> None:
    own = make(replace(MOVED, augmentation=OWN)).recipe.augmentation
    assert own == Augmentation(pca=0.1, pca_colours=principal_colours(rows()[1][:6]))
    assert make(MOVED).recipe == MOVED


def test_views_of_a_frozen_part_have_the_same_colours_as_pixels() -> None:
    views = Views.of(rows(), task(), task().train & ~task().held_out, COLOUR, augmentation=OWN, count=2)
    assert views.augmentation == make(replace(MOVED, augmentation=OWN)).recipe.augmentation


def on_disk(folder: Path, whole: NDArray[np.uint8]) -> Task:
    for i, image in enumerate(whole):
        Image.fromarray(image).save(folder / f"{i}.png")
    hashes = [hashlib.sha256((folder / f"{i}.png").read_bytes()).hexdigest() for i in range(len(whole))]
    samples = tuple(replace(s, sha256=sha256) for s, sha256 in zip(task().samples, hashes, strict=True))
    return task(listing=listing(folder), samples=samples)


def test_prepared_images_that_have_no_room_any_more_come_from_their_files_with_the_same_pixels(tmp_path: Path) -> None:
    evaluated, _ = rows()
    whole = np.random.default_rng(0).integers(0, 256, (10, 16, 32, 3), np.uint8)
    given = on_disk(tmp_path, whole)
    reduction = Reduction.for_training(COLOUR, MOVED.augmentation)
    reduced = [reduction.apply(Image.fromarray(image)) for image in whole]
    assert reduced[0].shape == (8, 16, 3)
    prepared = training_data([evaluated, reduced], given, MOVED, COLOUR, threads=1)
    read = training_data([evaluated], given, MOVED, COLOUR, threads=2)
    assert prepared.notes == ()
    assert read.notes == (FROM_FILES,)
    assert read.fingerprint == prepared.fingerprint
    for one, other in zip(read.fit.epoch(1, 0), prepared.fit.epoch(1, 0), strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_a_run_that_began_from_files_takes_them_as_they_are(tmp_path: Path) -> None:
    evaluated, _ = rows()
    whole = np.random.default_rng(0).integers(0, 256, (10, 16, 32, 3), np.uint8)
    given = replace(on_disk(tmp_path, whole), from_files=True)
    read = training_data([evaluated], given, MOVED, COLOUR, threads=2)
    expected = training_data([evaluated, list(whole)], given, MOVED, COLOUR, threads=1)
    assert read.fingerprint != make(MOVED, replace(given, from_files=False)).fingerprint
    for one, other in zip(read.fit.epoch(1, 0), expected.fit.epoch(1, 0), strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_the_fingerprint_follows_from_files_labels_and_weights() -> None:
    same = make(MOVED).fingerprint
    assert make(MOVED, threads=3).fingerprint == same
    other = (replace(task().samples[0], sha256="f" * 64), *task().samples[1:])
    assert make(MOVED, task(samples=other)).fingerprint != same
    assert make(MOVED, task(labels=np.roll(task().labels, 1))).fingerprint != same
    uneven = task(labels=np.array([0, 0, 0, 0, 1, 2, 0, 1, 2, 0]))
    assert make(MOVED, uneven).fingerprint != make(replace(MOVED, balance=True), uneven).fingerprint
    measured = (*task().samples[:8], *(replace(s, sha256="e" * 64) for s in task().samples[8:]))
    assert make(MOVED, task(samples=measured)).fingerprint == same  # nobody learns or chooses by these


@pytest.mark.parametrize(("network", "recipe", "side"), [("resnet18", "modern", 305), ("resnet18", "paper", 368)])
def test_images_are_prepared_as_large_as_the_crops_of_the_recipe_need(network: str, recipe: str, side: int) -> None:
    options = Options(network=(network,), transfer="none", recipe=recipe)
    empty = Listing(Path(), (), Files(Path()))
    _, wholes = TrainedCandidate(FromScratch(network, options), options).jobs(empty)
    assert wholes.name == f"images at {side} px"


def test_one_image_is_nothing_to_learn_from() -> None:
    text = "training by epochs needs two images or more to learn from; add images to `train`"
    with pytest.raises(DataError, match=f"^{text}$"):
        make(Recipe(), task(held_out=np.arange(10) > 0))


def test_the_statistics_of_pixels_take_no_copy_of_them() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (2000, 32, 32, 3), np.uint8)
    learn = np.arange(2000) % 5 > 0
    tracemalloc.start()
    mean, std = pixel_statistics(pixels, learn)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < pixels.nbytes / 4
    assert mean == pytest.approx(pixels[learn].mean(axis=(0, 1, 2)))
    assert std == pytest.approx(pixels[learn].std(axis=(0, 1, 2)))
