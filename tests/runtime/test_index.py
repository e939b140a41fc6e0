import os
import re
import sqlite3
from pathlib import Path

import numpy as np
import pytest

from convwise.data import decoding
from convwise.data.sources import Stamp, stamp
from convwise.errors import MachineError
from convwise.places import cache_dir
from convwise.runtime import index as index_module
from convwise.runtime.index import FileIndex, Verdict

HASH = "ab" * 32
GOOD = Verdict(HASH, "JPEG", 640, 480, animated=False)
BAD = Verdict("cd" * 32, problem="zero bytes")


def test_a_stamp_changes_with_size_and_time(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_bytes(b"one")
    os.utime(file, ns=(5, 7))
    found = file.stat()
    assert stamp(file) == Stamp(3, 7, found.st_ctime_ns, found.st_ino)
    assert stamp(tmp_path / "none") is None


def test_files_of_one_size_and_time_that_swap_names_are_told_apart(tmp_path: Path) -> None:
    a, b = tmp_path / "a", tmp_path / "b"
    for file in (a, b):
        file.write_bytes(file.name.encode())
        os.utime(file, ns=(5, 7))
    before = stamp(a)
    a.rename(tmp_path / "c")
    b.rename(a)
    assert stamp(a) != before


def test_what_was_added_is_found_by_the_next_process(tmp_path: Path) -> None:
    a, b, c = (tmp_path / name for name in "abc")
    with FileIndex() as index:
        index.add([(a, Stamp(1, 2, 0, 0), GOOD), (b, Stamp(3, 4, 0, 0), BAD)])
    with FileIndex() as index:
        assert index.lookup([a, b, c]) == {a: (Stamp(1, 2, 0, 0), HASH), b: (Stamp(3, 4, 0, 0), BAD.sha256)}
        assert index.verdicts([HASH, BAD.sha256, "ef" * 32]) == {HASH: GOOD, BAD.sha256: BAD}


def test_an_entry_is_replaced(tmp_path: Path) -> None:
    with FileIndex() as index:
        index.add([(tmp_path / "a", Stamp(1, 2, 0, 0), GOOD)])
        index.add([(tmp_path / "a", Stamp(1, 9, 0, 0), BAD)])
        assert index.lookup([tmp_path / "a"]) == {tmp_path / "a": (Stamp(1, 9, 0, 0), BAD.sha256)}


def test_more_files_than_a_query_takes_are_found(tmp_path: Path) -> None:
    paths = [tmp_path / str(i) for i in range(1234)]
    with FileIndex() as index:
        index.add([(p, Stamp(i, i, 0, 0), Verdict(f"{i:064x}", "PNG", i, 1)) for i, p in enumerate(paths)])
        assert len(index.lookup(paths)) == 1234
        assert index.verdicts([f"{i:064x}" for i in range(1234)])[f"{1233:064x}"].width == 1233


def test_a_relative_path_is_the_same_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with FileIndex() as index:
        index.add([(tmp_path / "a.jpg", Stamp(1, 2, 0, 0), GOOD)])
        assert index.lookup([Path("a.jpg")]) == {Path("a.jpg"): (Stamp(1, 2, 0, 0), HASH)}


def test_names_that_are_not_utf_8_have_their_place(tmp_path: Path) -> None:
    strange, plain = tmp_path / "b\udce4r.jpg", tmp_path / "bär.jpg"
    with FileIndex() as index:
        index.add([(strange, Stamp(1, 2, 0, 0), GOOD), (plain, Stamp(3, 4, 0, 0), BAD)])
        assert index.lookup([strange, plain]) == {
            strange: (Stamp(1, 2, 0, 0), HASH),
            plain: (Stamp(3, 4, 0, 0), BAD.sha256),
        }


def test_other_decoders_have_other_verdicts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with FileIndex() as index:
        index.add([(tmp_path / "a", Stamp(1, 2, 0, 0), GOOD)])
        monkeypatch.setattr(index_module, "rule", lambda: f"{decoding.rule()}-newer")
        assert index.verdicts([HASH]) == {}
        assert index.lookup([tmp_path / "a"]) != {}  # the hash of the bytes stays


def filled(folder: Path) -> Path:
    """An index of many pages; returns its file."""
    with FileIndex() as index:
        index.add([(folder / str(i), Stamp(i, i, 0, 0), Verdict(f"{i:064x}", "PNG", i, 1)) for i in range(3000)])
    return cache_dir() / "index-1.sqlite"


@pytest.mark.parametrize("damage", ["text", "empty", "header", "pages", "cut"])
def test_a_damaged_index_is_begun_anew(tmp_path: Path, damage: str) -> None:
    file = filled(tmp_path)
    data = bytearray(file.read_bytes())
    if damage == "text":
        data = bytearray(b"not a database" * 100)
    elif damage == "empty":
        data = bytearray()
    elif damage == "header":
        data[:50] = bytes(50)
    elif damage == "pages":
        noise = np.random.default_rng(0).integers(0, 256, len(data) - 4096, np.uint8)
        data[4096:] = noise.tobytes()
    else:
        del data[len(data) // 3 :]
    file.write_bytes(data)
    paths = [tmp_path / str(i) for i in range(3000)]
    with FileIndex() as index:
        known = index.lookup(paths)
        assert all(known[p] == (Stamp(i, i, 0, 0), f"{i:064x}") for i, p in enumerate(paths) if p in known)
        index.verdicts([HASH])
        index.add([(tmp_path / "a", Stamp(1, 2, 0, 0), GOOD)])
        assert index.lookup([tmp_path / "a"]) == {tmp_path / "a": (Stamp(1, 2, 0, 0), HASH)}


def test_an_index_that_cannot_be_opened_is_the_machine_s_fault() -> None:
    (cache_dir() / "index-1.sqlite").mkdir()
    start = f"the file index in {str(cache_dir())!r} could not be written: unable to open database file; "
    with pytest.raises(MachineError, match=f"^{re.escape(start)}what was finished is kept"), FileIndex():
        pass


def test_a_file_in_place_of_the_cache_folder_is_the_machine_s_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("CONVWISE_CACHE", str(tmp_path / "file"))
    with pytest.raises(MachineError, match=r"^the file index could not be written in .*: File exists; "), FileIndex():
        pass


def test_a_full_disk_is_the_machine_s_fault(tmp_path: Path) -> None:
    with FileIndex() as index:
        index.add([(tmp_path / "a", Stamp(1, 2, 0, 0), GOOD)])
        connection = index._open()
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages}")
        many = [(tmp_path / str(i), Stamp(i, i, 0, 0), Verdict(f"{i:064x}", "PNG", i, 1)) for i in range(3000)]
        with pytest.raises(MachineError, match=r"could not be written: database or disk is full; "):
            index.add(many)
    with FileIndex() as index:
        assert index.lookup([tmp_path / "a"]) == {tmp_path / "a": (Stamp(1, 2, 0, 0), HASH)}  # what was there is kept


def test_two_processes_share_the_index(tmp_path: Path) -> None:
    with FileIndex() as first, FileIndex() as second:
        first.add([(tmp_path / "a", Stamp(1, 2, 0, 0), GOOD)])
        second.add([(tmp_path / "b", Stamp(3, 4, 0, 0), BAD)])
        assert len(first.lookup([tmp_path / "a", tmp_path / "b"])) == 2
    assert sqlite3.connect(cache_dir() / "index-1.sqlite").execute("SELECT count(*) FROM files").fetchone() == (2,)
