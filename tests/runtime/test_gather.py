"""The one pass over the files: each is read, decoded and computed once, and skipped with its reason."""

import hashlib
import os
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from convwise.data import decoding
from convwise.data.idx import IdxImages
from convwise.data.inputs import list_samples
from convwise.data.preprocessing import Preprocessing
from convwise.data.samples import list_folder
from convwise.errors import DataError, MachineError
from convwise.places import cache_dir
from convwise.runtime.gather import T, gather
from convwise.runtime.jobs import Job, pixels_job
from convwise.runtime.rows import Rows

from .gathering import GREY, SMALL, expected, go


def test_rows_are_in_the_order_of_the_listing(folder: Path) -> None:
    found = go(folder, SMALL, GREY)
    assert [s.path for s in found.samples] == [s.path for s in list_folder(folder).samples]
    assert np.array_equal(found.rows[0], expected(folder, SMALL))
    assert np.array_equal(found.rows[1], expected(folder, GREY))
    assert found.files_read == 10
    assert found.skipped == {}


def test_samples_get_the_hash_of_their_bytes_and_a_verdict(folder: Path) -> None:
    found = go(folder)
    assert found.rows == ()
    for sample, verdict in zip(found.samples, found.verdicts, strict=True):
        assert sample.sha256 == hashlib.sha256((folder / sample.path).read_bytes()).hexdigest() == verdict.sha256
        assert (verdict.width, verdict.height, verdict.problem) == (64, 48, "")
        assert verdict.format == {".jpg": "JPEG", ".png": "PNG"}[Path(sample.path).suffix]


def test_the_second_time_nothing_is_read_or_computed(folder: Path, reads: Counter[str]) -> None:
    first = go(folder, SMALL)
    assert sum(reads.values()) == 10
    again = go(folder, SMALL)
    assert sum(reads.values()) == 10
    assert again.files_read == 0
    assert np.array_equal(again.rows[0], first.rows[0])
    assert (again.samples, again.verdicts) == (first.samples, first.verdicts)


def test_a_changed_file_alone_is_read_again(folder: Path, reads: Counter[str]) -> None:
    first = go(folder, SMALL)
    path = folder / "red" / "img1.png"
    before = path.stat()
    Image.new("RGB", (64, 48), "black").save(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    reads.clear()
    again = go(folder, SMALL)
    assert reads == {"img1.png": 1}
    assert again.files_read == 1
    assert again.samples[6].path == "red/img1.png"
    assert (again.rows[0][6] == 0).all()
    assert np.array_equal(np.delete(again.rows[0], 6, axis=0), np.delete(first.rows[0], 6, axis=0))


def test_a_touched_file_is_read_and_not_computed(folder: Path, reads: Counter[str]) -> None:
    calls = 0

    def compute(pixels: NDArray[np.uint8]) -> NDArray[Any]:
        nonlocal calls
        calls += 1
        return pixels

    def job() -> Job:
        return replace(pixels_job(SMALL), compute=compute)

    gather(list_folder(folder), [job()], threads=1)
    os.utime(folder / "red" / "img1.png", ns=(1, 1))
    reads.clear()
    gather(list_folder(folder), [job()], threads=1)
    assert reads == {"img1.png": 1}
    assert calls == 10


def test_images_of_an_idx_file_are_known_until_the_file_changes(
    tmp_path: Path, make_idx: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    levels = np.random.default_rng(0).integers(0, 256, (6, 12, 12), np.uint8)
    make_idx(tmp_path, "train", levels, [0, 1, 2, 0, 1, 2], ".gz")
    reads: Counter[str] = Counter()
    real = IdxImages.read

    def read(source: IdxImages, name: str) -> bytes:
        reads[name] += 1
        return real(source, name)

    monkeypatch.setattr(IdxImages, "read", read)
    first = gather(list_samples(tmp_path), [pixels_job(GREY)], threads=2)
    assert np.array_equal(first.rows[0][..., 0], levels)
    pgm = b"P5 12 12 255\n"
    assert [s.sha256 for s in first.samples] == [hashlib.sha256(pgm + image.tobytes()).hexdigest() for image in levels]
    assert set(reads.values()) == {1}
    again = gather(list_samples(tmp_path), [pixels_job(GREY)], threads=2)
    assert (again.files_read, sum(reads.values())) == (0, 6)
    assert np.array_equal(again.rows[0], first.rows[0])
    levels[4] = 255 - levels[4]
    make_idx(tmp_path, "train", levels, [0, 1, 2, 0, 1, 2], ".gz")
    changed = gather(list_samples(tmp_path), [pixels_job(GREY)], threads=2)
    assert np.array_equal(changed.rows[0][..., 0], levels)
    assert changed.files_read == 6  # the file is another


def test_a_moved_file_keeps_its_row(folder: Path) -> None:
    go(folder, SMALL)
    os.rename(folder / "red", folder / "orange")
    job = replace(pixels_job(SMALL), compute=lambda _: pytest.fail("computed"))
    found = gather(list_folder(folder), [job], threads=2)
    assert [s.label for s in found.samples] == ["blue"] * 5 + ["orange"] * 5


def test_files_that_cannot_be_used_are_skipped_with_their_reason(folder: Path, reads: Counter[str]) -> None:
    (folder / "red" / "empty.jpg").touch()
    (folder / "red" / "text.png").write_text("hello")
    (folder / "blue" / "gone.jpg").symlink_to("nowhere.jpg")
    (folder / "blue" / "loop.jpg").symlink_to("loop.jpg")
    good = (folder / "blue" / "img0.jpg").read_bytes()
    (folder / "blue" / "short.jpg").write_bytes(good[: len(good) // 2])
    found = go(folder, SMALL)
    assert found.skipped == {
        "blue/gone.jpg": "cannot be read: No such file or directory",
        "blue/loop.jpg": "cannot be read: Too many levels of symbolic links",
        "blue/short.jpg": "cut short (truncated)",
        "red/empty.jpg": "zero bytes",
        "red/text.png": "not an image that can be read (5 bytes)",
    }
    assert len(found.samples) == len(found.rows[0]) == 10
    assert np.array_equal(found.rows[0], go(folder, SMALL).rows[0])
    assert reads["short.jpg"] == reads["text.png"] == 1  # the reason was kept


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes are of Unix")
def test_a_pipe_is_no_file(folder: Path) -> None:
    os.mkfifo(folder / "red" / "pipe.jpg")
    assert go(folder, SMALL).skipped == {"red/pipe.jpg": "cannot be read: not a regular file"}


def test_a_file_is_decoded_once_for_two_jobs(
    folder: Path, monkeypatch: pytest.MonkeyPatch, reads: Counter[str]
) -> None:
    calls = []
    real = decoding.decode

    def decode(data: bytes, preprocessings: Any) -> decoding.Decoded:
        calls.append(len(preprocessings))
        return real(data, preprocessings)

    monkeypatch.setattr(decoding, "decode", decode)
    go(folder, SMALL, GREY)
    assert calls == [2] * 10
    assert sum(reads.values()) == 10


def test_only_the_job_that_lacks_rows_computes(folder: Path) -> None:
    go(folder, SMALL)
    found = go(folder, SMALL, GREY)
    assert found.files_read == 10
    assert np.array_equal(found.rows[0], expected(folder, SMALL))
    assert np.array_equal(found.rows[1], expected(folder, GREY))


def test_copies_are_computed_as_one(folder: Path) -> None:
    shutil.copy(folder / "red" / "img0.jpg", folder / "red" / "copy.jpg")
    found = go(folder, SMALL, threads=1)
    assert len(found.samples) == 11
    assert len(pixels_job(SMALL).rows) == 10
    assert np.array_equal(found.rows[0], expected(folder, SMALL))


@pytest.mark.parametrize("damage", ["delete", "cut", "row"])
def test_rows_that_vanish_meanwhile_are_computed_again(folder: Path, damage: str) -> None:
    first = go(folder, SMALL)
    job = pixels_job(SMALL)  # has seen the segment
    (segment,) = job.rows.folder.glob("*.npz")
    data = bytearray(segment.read_bytes())
    data[data.index(b"rows.npy") + 300] ^= 255
    if damage == "delete":
        segment.unlink()
    else:
        segment.write_bytes(bytes(data) if damage == "row" else bytes(data[:1000]))
    again = gather(list_folder(folder), [job], threads=2)
    assert again.files_read == 10
    assert np.array_equal(again.rows[0], first.rows[0])
    assert go(folder, SMALL).files_read == 0


def test_rows_that_vanish_for_ever_are_an_error(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Rows, "read", lambda self, contents: (np.zeros((len(contents), *self.shape)), contents))
    text = "10 cached rows vanish as fast as they are computed; "
    with pytest.raises(MachineError, match=f"^{re.escape(text)}"):
        go(folder, SMALL)


def test_rows_are_the_same_cold_warm_and_after_an_interruption(folder: Path, tmp_path: Path,
                                                               monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    cold = go(folder, SMALL, threads=1)
    warm = go(folder, SMALL)
    monkeypatch.setenv("CONVWISE_CACHE", str(tmp_path / "other"))

    def interrupted(items: Iterable[T], total: int, what: str) -> Iterator[T]:
        assert total == 10
        assert what == "pixels at 8 px (1.9 kB to cache)"
        for i, item in enumerate(items):
            if i == 4:
                raise KeyboardInterrupt
            yield item

    with pytest.raises(KeyboardInterrupt):
        gather(list_folder(folder), [pixels_job(SMALL)], threads=1, track=interrupted)
    assert len(pixels_job(SMALL).rows) == 4  # what was finished is kept
    rest = go(folder, SMALL)
    assert rest.files_read == 6
    for other in (warm, rest):
        assert np.array_equal(other.rows[0], cold.rows[0])
        assert other.samples == cold.samples


def test_other_decoders_have_other_rows(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    go(folder, SMALL)
    monkeypatch.setattr(decoding, "rule", lambda: "newer")
    assert len(pixels_job(SMALL).rows) == 0


@pytest.mark.parametrize(
    "change",
    [{"resolution": 9}, {"fit": "pad"}, {"crop": 0.5}, {"interpolation": "bilinear"}, {"mean": (1.0, 1.0, 1.0)}],
)
def test_other_preprocessing_has_other_rows(folder: Path, change: dict[str, Any]) -> None:
    go(folder, SMALL)
    assert len(pixels_job(Preprocessing(**{"resolution": 8, **change})).rows) == 0


def test_a_folder_without_a_usable_image_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / "1.jpg").touch()
    (tmp_path / "cat" / "2.jpg").write_text("x")
    found = go(tmp_path, SMALL)
    assert found.samples == ()
    assert found.rows[0].shape == (0, 8, 8, 3)
    text = f"none of the 2 image files in {str(tmp_path)!r} can be used; the first is 'cat/1.jpg': zero bytes"
    with pytest.raises(DataError, match=f"^{re.escape(text)}$"):
        found.check(list_folder(tmp_path))


def test_a_damaged_index_costs_a_pass_and_no_row(folder: Path) -> None:
    first = go(folder, SMALL)
    (cache_dir() / "index-1.sqlite").write_bytes(b"damaged" * 1000)
    again = go(folder, SMALL)
    assert np.array_equal(again.rows[0], first.rows[0])
    assert go(folder, SMALL).files_read == 0
