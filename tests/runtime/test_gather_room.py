"""The one pass says what it needs of cache, disk and memory before it reads a file."""

import hashlib
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from convwise import machine
from convwise.data.samples import list_folder
from convwise.errors import MachineError, UsageError
from convwise.runtime import cache as cache_module
from convwise.runtime import room
from convwise.runtime.gather import gather
from convwise.runtime.jobs import Job, pixels_job
from convwise.runtime.rows import Rows

from .gathering import GREY, SMALL, expected, go


def features(width: int) -> Job:
    rows = Rows("features", (width,), np.float32)
    return Job(
        "features at 8 px", SMALL, rows, lambda _: np.zeros(width, np.float32), row_bytes=4 * width, image_bytes=192,
        growth=0,
    )  # fmt: skip


# Ten images of 8 x 8 x 3 are 1920 bytes; ten numbers of four bytes for each are 400 more. 7 x 7 x 3 fit in either case.
@pytest.mark.parametrize(
    ("limit", "widths", "names", "size"),
    [(1919, [], "pixels at 8 px", "1.9 kB"), (2319, [10], "pixels at 8 px and features at 8 px", "2.3 kB")],
)
def test_rows_that_the_cache_may_not_hold_are_refused_before_a_file_is_read(
    folder: Path, reads: Counter[str], monkeypatch: pytest.MonkeyPatch, limit: int, widths: list[int], names: str,
    size: str,
) -> None:  # fmt: skip
    text = (
        f"{names} of 10 files take {size} of cache, and CONVWISE_CACHE_GB allows {size}; "
        "raise it or lower --resolution to 7"
    )
    jobs = [pixels_job(SMALL), *map(features, widths)]
    monkeypatch.setattr(room, "cache_limit", lambda: limit)
    with pytest.raises(UsageError, match=f"^{re.escape(text)}$"):
        gather(list_folder(folder), jobs, threads=1)
    assert not reads
    fitting = replace(SMALL, resolution=7)
    gather(list_folder(folder), [pixels_job(fitting), *jobs[1:]], threads=1)
    monkeypatch.setattr(room, "cache_limit", lambda: limit + 1)
    gather(list_folder(folder), jobs, threads=1)


def test_features_are_not_made_smaller_by_the_resolution(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "cache_limit", lambda: 399)
    text = "features at 8 px of 10 files take 400 B of cache, and CONVWISE_CACHE_GB allows 399 B; raise it"
    with pytest.raises(UsageError, match=f"^{re.escape(text)}$"):
        gather(list_folder(folder), [features(10)], threads=1)


def test_rows_that_the_disk_cannot_hold_are_refused(
    folder: Path, cache: Path, reads: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "free_disk", lambda: 1919)
    text = (
        f"pixels at 8 px of 10 files take 1.9 kB of disk, and {str(cache)!r} has 1.9 kB left; free some space "
        "(`convwise cache --clear`) or set CONVWISE_CACHE to another disk or lower --resolution to 7"
    )
    with pytest.raises(MachineError, match=f"^{re.escape(text)}$"):
        go(folder, SMALL)
    assert not reads
    monkeypatch.setattr(room, "free_disk", lambda: 1920)
    go(folder, SMALL)
    monkeypatch.setattr(room, "free_disk", lambda: 0)
    go(folder, SMALL)  # they lie there already


def test_rows_of_other_images_do_not_make_room_for_these(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = pixels_job(SMALL).rows
    for i in range(100):
        rows.add(hashlib.sha256(bytes([i])).digest(), np.zeros(SMALL.shape, np.uint8))
    rows.flush()
    monkeypatch.setattr(room, "free_disk", lambda: 1919)
    with pytest.raises(MachineError, match=r"^pixels at 8 px of 10 files take 1\.9 kB of disk"):
        go(folder, SMALL)


def test_rows_that_one_job_has_are_not_asked_of_the_disk_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    go(folder, SMALL)
    monkeypatch.setattr(room, "free_disk", lambda: 400)  # ten features of four bytes each, for ten images
    gather(list_folder(folder), [pixels_job(SMALL), features(10)], threads=1)


def test_rows_that_memory_cannot_hold_are_refused(
    folder: Path, reads: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    needed = 1920 + 2 * 3 * 192  # all rows, and two images at once
    monkeypatch.setattr(machine, "machine_memory", lambda: needed - 1)
    monkeypatch.setattr(room, "machine_memory", lambda: needed - 1)
    text = (
        "reading pixels at 8 px of 10 files needs about 3.1 kB of memory, and there are 3.1 kB; "
        "take fewer images or lower --resolution to 7"
    )
    with pytest.raises(MachineError, match=f"^{re.escape(text)}$"):
        go(folder, SMALL)
    assert not reads
    go(folder, replace(SMALL, resolution=7))
    monkeypatch.setattr(machine, "machine_memory", lambda: needed)
    go(folder, SMALL)


def test_two_jobs_in_a_cache_with_room_for_no_more_than_both_work(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache_module, "cache_limit", lambda: 1)  # what else lies there goes, these stay
    for _ in range(2):
        found = go(folder, SMALL, GREY)
        assert np.array_equal(found.rows[0], expected(folder, SMALL))
        assert np.array_equal(found.rows[1], expected(folder, GREY))
        go(folder, SMALL)


def test_a_full_disk_stops_the_pass(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(MachineError, match=r"^computed rows could not be written in .*: No space left on device; "):
        go(folder, SMALL)
