"""Exit 6: the machine gave out. Nothing half stands where a result would be, and the same command goes on."""

import shutil
import sys
from pathlib import Path

import pytest

from .harness import Convwise, Disk, cached_rows, huge_png, in_child, weights_hash, write_folder

LITTLE_MEMORY = """
import resource
import convwise.classifier
with open("/proc/self/statm") as file:
    now = int(file.read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (now + 300_000_000, now + 300_000_000))
"""
SMALL_FILES = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({0}, {0}))"


@pytest.fixture
def thirty(tmp_path: Path) -> Path:
    """Two classes of fifteen photos."""
    return write_folder(tmp_path / "thirty", count=15)


@pytest.mark.slow
def test_a_disk_that_is_full_while_the_network_is_cached(tmp_path: Path, small_disk: Disk, photos: Path) -> None:
    small_disk.change("size=20m")
    cold = Convwise(tmp_path, small_disk.place / "cache")
    found = cold.fit(photos, "run").ends(6)
    assert "could not be written in" in found.message
    assert "No space left on device; what was finished is kept. Free some space" in found.message
    assert not (tmp_path / "run").exists()
    assert not list(small_disk.place.rglob(".tmp-*"))
    small_disk.change("size=60m")
    cold.fit(photos, "run").ends(0)


def test_a_disk_without_room_for_the_features_is_said_before_they_are_computed(
    tmp_path: Path, small_disk: Disk, warm_cache: Path, run: Path, thirty: Path
) -> None:
    small_disk.change("size=60m")
    cache = small_disk.place / "cache"
    shutil.copytree(warm_cache / "graphs", cache / "graphs")
    convwise = Convwise(tmp_path, cache)
    convwise("evaluate", run, thirty, "--quiet").ends(0)  # other rows, and the index
    some = write_folder(tmp_path / "some", count=5)  # the first third of the same photos
    convwise.fit(some, "first").ends(0)
    before = cached_rows(cache)
    filler = small_disk.fill(leave=40_000)
    found = convwise.fit(thirty, "run").ends(6)  # 20 more rows of 5120 bytes
    assert found.message.startswith("features at 224 px of 30 files take 102.4 kB of disk, and ")
    assert found.message.endswith(" or set CONVWISE_CACHE to another disk")
    assert not (tmp_path / "run").exists()
    assert cached_rows(cache) == before
    filler.unlink()
    convwise.fit(thirty, "run").ends(0)
    assert len(cached_rows(cache)) == len(before) + 20  # no row that was kept was computed again


def test_an_output_folder_on_a_full_disk(convwise: Convwise, small_disk: Disk, photos: Path, run: Path) -> None:
    small_disk.change("size=2m")
    out = small_disk.place / "run"
    found = convwise.fit(photos, out).ends(6)
    assert found.message.startswith("the run could not be written")
    assert "No space left on device; computed features are kept in the cache." in found.message
    assert not out.exists()
    small_disk.change("size=60m")
    convwise.fit(photos, out).ends(0)
    assert weights_hash(out) == weights_hash(run)
    assert [path.name for path in small_disk.place.iterdir()] == ["run"]


def test_a_read_only_disk_for_the_output(convwise: Convwise, small_disk: Disk, photos: Path) -> None:
    small_disk.change("ro")
    assert "Read-only file system" in convwise.fit(photos, small_disk.place / "run").ends(6).message


@pytest.mark.slow
def test_a_warm_cache_that_is_read_only_serves_all_the_same(
    tmp_path: Path, small_disk: Disk, warm_cache: Path, photos: Path, run: Path
) -> None:
    small_disk.change("size=200m")
    cache = small_disk.place / "cache"
    shutil.copytree(warm_cache, cache)
    convwise = Convwise(tmp_path, cache)
    convwise("evaluate", run, photos, "--quiet").ends(0)
    small_disk.change("ro")
    assert convwise("evaluate", run, photos, "--json", "--quiet").ends(0).json["n"] > 0
    convwise.fit(photos, "run").ends(0)
    assert "Read-only file system" in convwise("cache", "--clear").ends(6).message


@pytest.mark.parametrize(
    ("path", "reason"), [("file/run", "'file': File exists"), ("file/below/run", "'file/below': Not a directory")]
)
def test_an_output_folder_that_cannot_be_made(
    convwise: Convwise, photos: Path, tmp_path: Path, path: str, reason: str
) -> None:
    (tmp_path / "file").write_text("a file")
    found = convwise.fit(photos, path).ends(6)
    assert found.message.startswith(f"the run could not be written: {reason}; computed features are kept")


def test_a_cache_that_cannot_be_made(tmp_path: Path, photos: Path, run: Path) -> None:
    (tmp_path / "file").write_text("a file")
    blocked = Convwise(tmp_path, tmp_path / "file" / "cache")
    for arguments in (("scan", photos), ("evaluate", run, photos)):
        assert "set CONVWISE_CACHE to another disk" in blocked(*arguments, "--quiet").ends(6).message
    blocked("predict", run, photos / "disc" / "0.jpg").ends(0)  # needs no cache


def test_a_limit_on_the_size_of_files_stops_the_cache_without_a_trace(
    graphs_only: Convwise, thirty: Path, tmp_path: Path
) -> None:
    code = in_child(SMALL_FILES.format(100_000))
    found = graphs_only.python("-c", code, "fit", thirty, "--out", "run", "--quiet").ends(6)
    assert "computed rows could not be written" in found.message
    assert "File too large; what was finished is kept" in found.message
    assert not (tmp_path / "run").exists()
    assert not list(graphs_only.cache.rglob(".tmp-*"))
    graphs_only.fit(thirty, "run").ends(0)


@pytest.mark.slow
def test_a_limit_on_the_size_of_files_stops_the_run_without_a_trace(
    convwise: Convwise, photos: Path, run: Path, tmp_path: Path
) -> None:
    code = in_child(SMALL_FILES.format(1_000_000))
    found = convwise.python("-c", code, "fit", photos, "--out", "out", "--quiet").ends(6)
    assert "File too large; computed features are kept in the cache" in found.message
    assert not (tmp_path / "out").exists()
    convwise.fit(photos, "out").ends(0)
    assert weights_hash(tmp_path / "out") == weights_hash(run)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux keeps this limit")
def test_memory_that_gives_out_is_said_in_one_line(convwise: Convwise, run: Path, tmp_path: Path) -> None:
    (tmp_path / "large.png").write_bytes(huge_png(13_000))  # 169 megapixels, within the limit, one byte each
    found = convwise.python("-c", in_child(LITTLE_MEMORY), "predict", run, "large.png", "--threads", 1).ends(6)
    assert found.message == (
        "the machine gave out: not enough memory; fewer threads, smaller images and a lower resolution need less"
    )
    convwise("predict", run, "large.png").ends(0)
