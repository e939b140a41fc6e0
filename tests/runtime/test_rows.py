"""The cache of rows, and the folder it lives in."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from convwise.errors import MachineError, UsageError
from convwise.places import cache_dir, disk_errors
from convwise.runtime import rows as rows_module
from convwise.runtime.cache import (
    cache_limit,
    cache_usage,
    clear_cache,
    free_disk,
    key_of,
    make_room,
    write_aside,
)
from convwise.runtime.rows import Rows

KEY = key_of({"rows": "test"})


def content(i: int) -> bytes:
    return hashlib.sha256(str(i).encode()).digest()


def row(i: int) -> NDArray[np.float32]:
    return np.full(4, i, np.float32)


def entry(key: str = KEY) -> Rows:
    return Rows(key, (4,), np.float32)


def filled(numbers: range, key: str = KEY) -> Rows:
    rows = entry(key)
    for i in numbers:
        rows.add(content(i), row(i))
    rows.flush()
    return rows


def values(rows: Rows, numbers: list[int]) -> tuple[list[float], list[bytes]]:
    found, missing = rows.read([content(i) for i in numbers])
    assert found.shape == (len(numbers), 4)
    assert found.dtype == np.float32
    return found[:, 0].tolist(), missing


def segments() -> list[Path]:
    return sorted((cache_dir() / "rows" / KEY).glob("*"))


def test_the_folder_is_the_user_s_choice_or_their_cache_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONVWISE_CACHE", "/some/where")
    assert cache_dir() == Path("/some/where")
    monkeypatch.setenv("CONVWISE_CACHE", "")
    monkeypatch.delenv("LOCALAPPDATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    assert cache_dir() == Path("/xdg/convwise")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/some")
    assert cache_dir() == Path("/home/some/.cache/convwise")


def test_the_limit_is_20_gigabytes_or_what_the_user_says(monkeypatch: pytest.MonkeyPatch) -> None:
    assert cache_limit() == 20 * 10**9
    monkeypatch.setenv("CONVWISE_CACHE_GB", "0.5")
    assert cache_limit() == 5 * 10**8


@pytest.mark.parametrize("text", ["", "much", "0", "-1", "nan", "20GB", "inf"])
def test_a_limit_that_is_no_positive_number_is_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("CONVWISE_CACHE_GB", text)
    expected = f"CONVWISE_CACHE_GB must be a number of gigabytes above 0, got {text!r}"
    with pytest.raises(UsageError, match=f"^{re.escape(expected)}$"):
        cache_limit()


def test_free_disk_is_that_of_the_folder_that_will_hold_the_cache(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    class Usage(NamedTuple):
        free: int

    asked = []

    def usage(path: Path) -> Usage:
        asked.append(path)
        return Usage(4)

    monkeypatch.setattr(shutil, "disk_usage", usage)
    monkeypatch.setenv("CONVWISE_CACHE", str(tmp_path / "not" / "there"))
    assert free_disk() == 4
    assert asked == [tmp_path]


def test_a_key_follows_the_values_and_not_their_order() -> None:
    assert key_of({"a": 1, "b": [1.5, None]}) == key_of({"b": [1.5, None], "a": 1})
    assert key_of({"a": 1}) != key_of({"a": 2})
    assert re.fullmatch("[0-9a-f]{64}", key_of({}))


def test_rows_come_back_in_the_order_asked() -> None:
    rows = filled(range(5))
    assert values(rows, [3, 0, 4, 3]) == ([3, 0, 4, 3], [])
    assert len(rows) == 5
    assert rows.row_bytes == 16


def test_what_is_not_known_is_missing_and_zero() -> None:
    assert values(filled(range(2)), [1, 7, 0]) == ([1, 0, 0], [content(7)])
    assert values(entry("none"), []) == ([], [])


def test_rows_survive_the_process_that_made_them() -> None:
    script = (
        "import hashlib, numpy as np; from convwise.runtime.rows import Rows\n"
        f"rows = Rows({KEY!r}, (4,), np.float32)\n"
        "for i in range(3): rows.add(hashlib.sha256(str(i).encode()).digest(), np.full(4, i, np.float32))\n"
        "rows.flush()"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
    rows = entry()
    assert content(2) in rows
    assert values(rows, [2, 1, 0]) == ([2, 1, 0], [])


def test_what_was_not_flushed_is_readable_here_and_lost_elsewhere() -> None:
    rows = entry()
    rows.add(content(1), row(1))
    assert values(rows, [1]) == ([1], [])
    assert content(1) in rows
    assert content(1) not in entry()


def test_rows_are_flushed_by_number_and_by_time(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = entry()
    for i in range(rows_module.FLUSH_ROWS):
        assert segments() == []
        rows.add(content(i), row(i))
    assert len(segments()) == 1
    later = time.monotonic() + rows_module.FLUSH_SECONDS + 1
    monkeypatch.setattr(time, "monotonic", lambda: later)
    rows.add(content(-1), row(-1))
    assert len(segments()) == 2
    rows.flush()  # nothing waits
    assert len(segments()) == 2
    assert len(entry()) == rows_module.FLUSH_ROWS + 1


def test_two_writers_lose_nothing() -> None:
    first, second = entry(), entry()
    for i in range(6):
        (first if i % 2 else second).add(content(i), row(i))
        first.add(content(100), row(100))  # both compute this one
        second.add(content(100), row(100))
    first.flush()
    second.flush()
    assert values(entry(), [0, 1, 2, 3, 4, 5, 100]) == ([0, 1, 2, 3, 4, 5, 100], [])


def test_other_entries_are_apart() -> None:
    filled(range(3), key="a")
    assert values(entry("b"), [1]) == ([0], [content(1)])


def test_a_deleted_segment_is_missing_and_can_be_computed_again() -> None:
    rows = filled(range(3))
    for path in segments():
        path.unlink()
    assert values(rows, [0, 2]) == ([0, 0], [content(0), content(2)])
    assert content(1) not in rows
    rows.add(content(2), row(2))
    assert values(rows, [2]) == ([2], [])


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_segment_cut_short_is_missing_and_removed(when: str) -> None:
    rows = filled(range(3))
    (path,) = segments()
    path.write_bytes(path.read_bytes()[:-100])
    rows = entry() if when == "before" else rows
    assert values(rows, [1])[1] == [content(1)]
    assert segments() == []


def test_no_damage_of_a_segment_gives_a_wrong_row_or_an_error() -> None:
    filled(range(8))
    (path,) = segments()
    good = path.read_bytes()
    rng = np.random.default_rng(0)
    lost = 0
    for _ in range(150):
        data = bytearray(good)
        data[rng.integers(len(data))] ^= 1 << int(rng.integers(8))
        path.write_bytes(data)
        found, missing = values(entry(), list(range(8)))
        expected = [0.0 if content(i) in missing else float(i) for i in range(8)]
        assert found == expected
        lost += bool(missing)
    assert lost > 100


def test_a_segment_of_another_shape_is_not_used() -> None:
    filled(range(3))
    other = Rows(KEY, (2, 2), np.float32)
    assert other.read([content(1)])[1] == [content(1)]


def test_a_kill_while_writing_leaves_no_segment(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = entry()
    rows.add(content(0), row(0))

    def killed(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", killed)
    with pytest.raises(KeyboardInterrupt):
        rows.flush()
    monkeypatch.undo()
    assert segments() == []
    assert values(rows, [0]) == ([0], [])  # it still waits


def use_at(key: str, seconds: float) -> None:
    """Set when an entry was last used."""
    os.utime(cache_dir() / "rows" / key, (seconds, seconds))


def test_the_least_recently_used_entries_go_first(monkeypatch: pytest.MonkeyPatch) -> None:
    for i, key in enumerate("abcd"):
        filled(range(1000), key=key)
        use_at(key, 1000.0 + i)
    size = sum(f.stat().st_size for f in (cache_dir() / "rows" / "a").iterdir())
    make_room([])
    assert sorted(p.name for p in (cache_dir() / "rows").iterdir()) == ["a", "b", "c", "d"]
    entry("a")  # to open an entry is to use it
    monkeypatch.setenv("CONVWISE_CACHE_GB", str(2.5 * size / 1e9))
    make_room([])
    assert sorted(p.name for p in (cache_dir() / "rows").iterdir()) == ["a", "d"]


def test_what_is_in_use_stays_whatever_its_age(monkeypatch: pytest.MonkeyPatch) -> None:
    for i, key in enumerate("abc"):
        filled(range(1000), key=key)
        use_at(key, 1000.0 + i)
    monkeypatch.setenv("CONVWISE_CACHE_GB", "1e-6")
    make_room([cache_dir() / "rows" / "a", cache_dir() / "rows" / "b"])
    assert sorted(p.name for p in (cache_dir() / "rows").iterdir()) == ["a", "b"]


def test_graphs_count_too(monkeypatch: pytest.MonkeyPatch) -> None:
    write_aside(cache_dir() / "graphs" / "old" / "network.onnx", bytes(5000))
    os.utime(cache_dir() / "graphs" / "old", (1000, 1000))
    filled(range(10))
    monkeypatch.setenv("CONVWISE_CACHE_GB", "3e-6")
    make_room([])
    assert not (cache_dir() / "graphs" / "old").exists()
    assert len(entry()) == 10


def test_usage_is_told_by_kind() -> None:
    assert cache_usage() == {"rows": 0, "images": 0, "graphs": 0, "weights": 0, "index": 0}
    filled(range(3))
    write_aside(cache_dir() / "graphs" / "x" / "network.onnx", bytes(70))
    write_aside(cache_dir() / "weights" / "net.pth", bytes(50))
    write_aside(cache_dir() / "index-1.sqlite", bytes(9))
    (path,) = segments()
    assert cache_usage() == {"rows": path.stat().st_size, "images": 0, "graphs": 70, "weights": 50, "index": 9}


def test_clearing_leaves_what_is_not_convwise_s() -> None:
    filled(range(3))
    ours = ("index-1.sqlite", "index-1.sqlite-journal", "graphs/x/network.onnx", "weights/net.pth")
    for name in (*ours, "mine.txt", "other/mine.txt"):
        write_aside(cache_dir() / name, b"x")
    clear_cache()
    clear_cache()  # what is gone already is no error
    left = sorted(str(p.relative_to(cache_dir())) for p in cache_dir().rglob("*") if p.is_file())
    assert left == ["mine.txt", "other/mine.txt"]


def test_a_file_written_aside_is_there_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_aside(tmp_path / "new" / "file", b"one")
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OSError, match="No space left"):
        write_aside(tmp_path / "new" / "file", b"two")
    assert [(p.name, p.read_bytes()) for p in (tmp_path / "new").iterdir()] == [("file", b"one")]


def test_a_failing_disk_says_what_is_kept_and_what_to_do() -> None:
    expected = (
        f"computed rows could not be written in {str(cache_dir())!r}: No space left on device; what was finished is "
        "kept. Free some space (`convwise cache --clear`), or set CONVWISE_CACHE to another disk, and repeat "
        "the command"
    )
    with pytest.raises(MachineError, match=f"^{re.escape(expected)}$"), disk_errors("computed rows"):
        raise OSError(28, "No space left on device")


FULL_DISK = """
import hashlib, resource, signal, numpy as np
from convwise.errors import MachineError
from convwise.runtime.rows import Rows
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))  # no file may grow beyond: the disk's write fails
rows = Rows("key", (1000,), np.float32)
for i in range(10):
    rows.add(hashlib.sha256(str(i).encode()).digest(), np.full(1000, i, np.float32))
rows.flush()
try:
    for i in range(10, 100):
        rows.add(hashlib.sha256(str(i).encode()).digest(), np.full(1000, i, np.float32))
    rows.flush()
except MachineError as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="limits of file sizes are of Unix")
def test_a_disk_that_refuses_keeps_what_was_finished() -> None:
    done = subprocess.run([sys.executable, "-c", FULL_DISK], capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"computed rows could not be written in {str(cache_dir())!r}: File too large; ")
    rows = Rows("key", (1000,), np.float32)
    assert len(rows) == 10
    assert [p.suffix for p in rows.folder.iterdir()] == [".npz"]  # nothing half-written is left
