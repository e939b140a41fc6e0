"""Fixtures of the command-line tests: a cache that is warm, a folder of photos, a classifier made from it."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from .harness import Convwise, Disk, write_folder


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes with ten photos each; nobody changes it."""
    return write_folder(tmp_path_factory.mktemp("photos") / "photos")


@pytest.fixture(scope="session")
def warm_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache with the network's graph and the features of `photos`, once `run` was asked for."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def run(photos: Path, warm_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run on `photos`, made with an empty cache; nobody changes it."""
    folder = tmp_path_factory.mktemp("run")
    Convwise(folder, warm_cache).fit(photos, "run").ends(0)
    return folder / "run"


@pytest.fixture
def convwise(tmp_path: Path, warm_cache: Path, run: Path) -> Convwise:  # noqa: ARG001
    """The command line in an empty folder, with the warm cache of the session."""
    return Convwise(tmp_path, warm_cache)


@pytest.fixture
def graphs_only(tmp_path: Path, warm_cache: Path, run: Path) -> Convwise:  # noqa: ARG001
    """The command line with a cache of its own that holds the network's graph and not one row."""
    cache = tmp_path / "cache of its own"
    shutil.copytree(warm_cache / "graphs", cache / "graphs")
    return Convwise(tmp_path, cache)


@pytest.fixture(scope="session")
def many_photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes with 200 photos each: enough to be stopped in the middle; nobody changes it."""
    return write_folder(tmp_path_factory.mktemp("many") / "photos", count=200, side=160)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Disk]:
    """A disk of its own in memory; its size is set by the test."""
    place = tmp_path / "disk"
    place.mkdir()
    disk = Disk(place)
    if not disk.mount():
        pytest.skip("mounting a small disk needs root on Linux")
    yield disk
    disk.unmount()


@pytest.fixture
def trainer(tmp_path: Path, request: pytest.FixtureRequest) -> Convwise:
    """The command line with a cold cache, beside the recipe `long.toml` of the test's module."""
    (tmp_path / "long.toml").write_text(request.module.RECIPE)
    return Convwise(tmp_path, tmp_path / "cache")
