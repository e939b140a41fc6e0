"""Real images that slow tests of fitting share."""

import gzip
import tarfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from convwise.cli.demo import write_digits

FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")  # of Debian's package dataset-fashion-mnist


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """scikit-learn's 1,797 digits, 10 folders."""
    folder = tmp_path_factory.mktemp("digits")
    write_digits(folder)
    return folder


@pytest.fixture(scope="session")
def cifar10_2000(tmp_path_factory: pytest.TempPathFactory, cifar10_archive: Path) -> Path:
    """2,000 images of CIFAR-10 to learn from."""
    return some_of(cifar10_archive, tmp_path_factory.mktemp("cifar"), 200)


@pytest.fixture(scope="session")
def cifar10_20000(tmp_path_factory: pytest.TempPathFactory, cifar10_archive: Path) -> Path:
    """20,000 images of CIFAR-10 to learn from."""
    return some_of(cifar10_archive, tmp_path_factory.mktemp("cifar"), 2000)


@pytest.fixture(scope="session")
def fashion_mnist_2000(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first 2,000 training images of Fashion-MNIST, 10 folders."""
    if not FASHION_MNIST.is_dir():
        pytest.skip("Debian's package dataset-fashion-mnist is not installed")
    levels, labels = (
        np.frombuffer(gzip.decompress((FASHION_MNIST / f"train-{name}-ubyte.gz").read_bytes()), np.uint8, offset=begin)
        for name, begin in (("images-idx3", 16), ("labels-idx1", 8))
    )
    folder = tmp_path_factory.mktemp("fashion")
    for i in range(2000):
        place = folder / str(labels[i])
        place.mkdir(exist_ok=True)
        Image.fromarray(levels[784 * i : 784 * (i + 1)].reshape(28, 28)).save(place / f"{i}.png")
    return folder


def some_of(archive: Path, folder: Path, each: int) -> Path:
    """So many images of each class of CIFAR-10's train to learn from, and 200 of its test to measure on."""
    counts, wanted = Counter[Path](), {"train": each, "test": 200}
    with tarfile.open(archive) as tar:
        for member in tar:
            place = Path(member.name).parent
            if member.isfile() and counts[place] < wanted[place.parent.name]:
                counts[place] += 1
                tar.extract(member, folder, filter="data")
    return folder / "cifar10"
