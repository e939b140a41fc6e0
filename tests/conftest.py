"""What many tests share: a cache of their own, small folders of photos, one small classifier."""

import os

os.environ.setdefault(
    "OMP_WAIT_POLICY", "PASSIVE"
)  # before torch: idle threads sleep, so that tests can share a machine

import gzip
import struct
import tarfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from convwise.fitting import Options, Run, fit

TEST_DATA = "CONVWISE_TEST_DATA"
COLOURS = {"blue": (30, 60, 200), "green": (30, 180, 60), "red": (200, 40, 30), "white": (225, 225, 225)}

MakePhotos = Callable[..., Path]


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fresh, empty cache for each test, with the default limit."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("CONVWISE_CACHE", str(folder))
    monkeypatch.delenv("CONVWISE_CACHE_GB", raising=False)
    return folder


@pytest.fixture(scope="session")
def session_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cache of the slow work that may be shared: the graph of a published network, above all."""
    return tmp_path_factory.mktemp("session_cache")


@pytest.fixture
def shared_cache(session_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Use the session's cache in this test."""
    monkeypatch.setenv("CONVWISE_CACHE", str(session_cache))
    return session_cache


def find_archive(name: str) -> Path:
    """An archive of real photos; the test is skipped where it is not there."""
    archive = Path(os.environ.get(TEST_DATA, ""), name)
    if not os.environ.get(TEST_DATA) or not archive.is_file():
        pytest.skip(f"{TEST_DATA} names no folder with {name}")
    return archive


@pytest.fixture(scope="session")
def cifar10_archive() -> Path:
    """CIFAR-10 as JPEG files, `cifar10/{train,test}/<class>/*.jpg`."""
    return find_archive("cifar10.tar.gz")


@pytest.fixture(scope="session")
def ants_bees(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """397 photos: train and val of ants and bees, with one stray GIF."""
    folder = tmp_path_factory.mktemp("data")
    with tarfile.open(find_archive("ants_bees.tar")) as tar:
        tar.extractall(folder, filter="data")
    return folder / "ants_bees"


def pattern(rng: np.random.Generator, colour: Sequence[int], width: int = 64, height: int = 48) -> NDArray[np.uint8]:
    """A blob of a colour on noise, uint8 (height, width, 3)."""
    y, x = np.mgrid[:height, :width]
    centre = rng.uniform(0.35, 0.65, 2) * (height, width)
    blob = np.exp(-((y - centre[0]) ** 2 + (x - centre[1]) ** 2) / (0.3 * height) ** 2)[..., None]
    levels = blob * np.array(colour) + (1 - blob) * rng.normal(110, 40, (height, width, 3))
    pixels: NDArray[np.uint8] = np.clip(levels, 0, 255).astype(np.uint8)
    return pixels


def write_photos(folder: Path, per_class: int = 10, classes: Sequence[str] = ("blue", "green", "red"), seed: int = 0,
                 splits: Sequence[str] = ("",), suffixes: Sequence[str] = (".jpg", ".png")) -> Path:  # fmt: skip
    """Write `per_class` images for each split and class; a class is a colour, and a name cycles through the colours."""
    rng = np.random.default_rng(seed)
    colours = list(COLOURS.values())
    for split in splits:
        for k, name in enumerate(classes):
            where = folder / split / name
            where.mkdir(parents=True, exist_ok=True)
            for i in range(per_class):
                pixels = pattern(rng, COLOURS.get(name, colours[k % len(colours)]))
                Image.fromarray(pixels).save(where / f"img{i}{suffixes[i % len(suffixes)]}", quality=92)
    return folder


def write_idx(folder: Path, begin: str, levels: NDArray[np.uint8], labels: Sequence[int], ending: str = "") -> Path:
    """Write (n, H, W) levels and n labels as a pair of IDX files called `<begin>-...`, for ".gz" packed."""
    folder.mkdir(parents=True, exist_ok=True)
    images = struct.pack(">BBBBIII", 0, 0, 8, 3, *levels.shape) + levels.tobytes()
    numbers = struct.pack(">BBBBI", 0, 0, 8, 1, len(labels)) + bytes(labels)
    for name, data in (("images-idx3-ubyte", images), ("labels-idx1-ubyte", numbers)):
        (folder / f"{begin}-{name}{ending}").write_bytes(gzip.compress(data) if ending == ".gz" else data)
    return folder


@pytest.fixture(scope="session")
def make_idx() -> Callable[..., Path]:
    """`write_idx`, for tests that need files of their own."""
    return write_idx


@pytest.fixture(scope="session")
def make_photos() -> MakePhotos:
    """`write_photos`, for tests that need a folder of their own."""
    return write_photos


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A flat folder of 3 classes, 10 images each, JPEG and PNG; tests must not write into it."""
    return write_photos(tmp_path_factory.mktemp("photos"))


@pytest.fixture(scope="session")
def split_photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train, val and test of 2 classes, 5 images each; tests must not write into it."""
    folder = tmp_path_factory.mktemp("split_photos")
    return write_photos(folder, 5, ("blue", "red"), splits=("train", "val", "test"))


@pytest.fixture(scope="session")
def lenet_run(tmp_path_factory: pytest.TempPathFactory, session_cache: Path, photos: Path) -> Run:
    """LeNet-5 after two epochs on `photos`: small and quick. Tests must not write into its folder."""
    with cache_at(session_cache):
        out = tmp_path_factory.mktemp("runs") / "lenet"
        fit(photos, Options(network=("lenet5",), epochs=2, threads=2), out=out)
        return Run.read(out)


@pytest.fixture(scope="session")
def head_run(tmp_path_factory: pytest.TempPathFactory, session_cache: Path, photos: Path) -> Run:
    """A softmax layer on EfficientNet-Lite0 at 64 pixels, fitted on `photos`. Tests must not write into its folder."""
    with cache_at(session_cache):
        out = tmp_path_factory.mktemp("runs") / "head"
        fit(photos, Options(resolution=64, threads=2), out=out)
        return Run.read(out)


@contextmanager
def cache_at(folder: Path) -> Iterator[None]:
    """Point CONVWISE_CACHE at a folder for a while; fixtures of a session cannot use `monkeypatch`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CONVWISE_CACHE", str(folder))
        yield


@pytest.fixture
def in_tmp_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path
