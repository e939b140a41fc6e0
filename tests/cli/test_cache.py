"""The cache may be damaged, deleted or too small: that costs time, never a result."""

import shutil
from pathlib import Path

import pytest

from .harness import Convwise, cached_rows, finish, wait_for, weights_hash, write_folder


@pytest.fixture
def own(tmp_path: Path, warm_cache: Path, run: Path) -> Convwise:  # noqa: ARG001
    """The command line with a copy of the warm cache."""
    shutil.copytree(warm_cache, tmp_path / "own")
    return Convwise(tmp_path, tmp_path / "own")


def overwrite(path: Path, first: int, junk: bytes = b"\xaa") -> None:
    """Put junk behind the first bytes of a file."""
    content = path.read_bytes()
    path.write_bytes(content[:first] + junk * (len(content) - first))


@pytest.mark.parametrize("first", [0, 4096], ids=["all", "behind the first page"])
def test_a_damaged_index_is_begun_anew(own: Convwise, photos: Path, run: Path, tmp_path: Path, first: int) -> None:
    overwrite(own.cache / "index-1.sqlite", first)
    own.fit(photos, "out").ends(0)
    assert weights_hash(tmp_path / "out") == weights_hash(run)


@pytest.mark.parametrize("damage", ["bits", "cut"])
def test_damaged_features_are_computed_again(
    own: Convwise, photos: Path, run: Path, tmp_path: Path, damage: str
) -> None:
    for segment in (own.cache / "rows").glob("*/*.npz"):
        content = bytearray(segment.read_bytes())
        content[len(content) * 3 // 4] ^= 255  # in the rows, behind the hashes
        new = {"bits": bytes(content), "cut": bytes(content[:-100])}
        segment.write_bytes(new[damage])
    own.fit(photos, "out").ends(0)
    assert weights_hash(tmp_path / "out") == weights_hash(run)


@pytest.mark.slow
def test_a_damaged_network_is_made_again(own: Convwise, photos: Path, run: Path, tmp_path: Path) -> None:
    for graph in (own.cache / "graphs").glob("*/network.onnx"):
        overwrite(graph, 1_000_000)
    own.fit(photos, "out").ends(0)
    assert weights_hash(tmp_path / "out") == weights_hash(run)


@pytest.mark.slow
def test_a_cache_that_is_cleared_during_a_run_does_not_stop_it(
    graphs_only: Convwise, many_photos: Path, tmp_path: Path
) -> None:
    process = graphs_only.start("fit", many_photos, "--out", "run", "--json", "--quiet")
    wait_for(process, lambda: bool(list((graphs_only.cache / "rows").glob("*/*.npz"))))
    graphs_only("cache", "--clear").ends(0)
    finish(process).ends(0)
    assert (tmp_path / "run" / "report.html").exists()


def test_a_cache_that_may_hold_almost_nothing_still_serves(own: Convwise, tmp_path: Path) -> None:
    tiny = Convwise(tmp_path, own.cache, {"CONVWISE_CACHE_GB": "0.0001"})
    tiny.fit(write_folder(tmp_path / "data", ["chess", "disc"], count=6), "out").ends(0)


def test_cache_says_what_it_holds_and_clear_empties_it_and_touches_nothing_else(own: Convwise, photos: Path) -> None:
    (own.cache / "mine.txt").write_text("not convwise's")
    found = own("cache", "--json").ends(0).json
    assert found["path"] == str(own.cache)
    assert found["limit_bytes"] == 20_000_000_000
    assert found["rows"] > 0
    assert found["graphs"] > 20_000_000
    cleared = own("cache", "--clear", "--json").ends(0).json
    assert cleared["freed_bytes"] > 20_000_000
    assert [path.name for path in own.cache.iterdir()] == ["mine.txt"]
    assert own("cache").ends(0).out.startswith(str(own.cache))
    own("scan", photos, "--quiet").ends(0)


@pytest.mark.slow
def test_a_file_that_changes_is_read_again(convwise: Convwise, photos: Path, tmp_path: Path) -> None:
    shutil.copytree(photos, tmp_path / "data")
    whole = (tmp_path / "data" / "disc" / "3.jpg").read_bytes()
    (tmp_path / "data" / "disc" / "3.jpg").write_bytes(whole[: len(whole) // 2])
    assert convwise.fit("data", "one").ends(0).json["skipped"] == 1
    (tmp_path / "data" / "disc" / "3.jpg").write_bytes(whole)
    before = len(cached_rows(convwise.cache))
    assert convwise.fit("data", "two").ends(0).json["skipped"] == 0
    assert len(cached_rows(convwise.cache)) == before
