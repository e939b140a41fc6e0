import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from convwise import machine
from convwise.data import decoding
from convwise.data.reduction import Reduction
from convwise.data.samples import list_folder
from convwise.data.sources import Files
from convwise.errors import MachineError, UsageError
from convwise.places import cache_dir
from convwise.runtime import room
from convwise.runtime.cache import cache_usage
from convwise.runtime.gather import Gathered, T
from convwise.runtime.prepared import estimate_bytes, prepare_images, prepared_job

SMALL = Reduction(channels=3, side=24)


@pytest.fixture
def folder(tmp_path: Path, make_photos: Callable[..., Path]) -> Path:
    """Ten images of 64 x 48 pixels, two classes."""
    return make_photos(tmp_path / "photos", 5, ("blue", "red"))


def go(folder: Path, reduction: Reduction = SMALL) -> Gathered:
    return prepare_images(list_folder(folder), reduction, threads=2)


def test_every_image_is_reduced_and_in_the_listing_s_order(folder: Path) -> None:
    found = go(folder)
    listing = list_folder(folder)
    assert [s.path for s in found.samples] == [s.path for s in listing.samples]
    for sample, pixels in zip(listing.samples, found.rows[0], strict=True):
        expected = decoding.decode(listing.path(sample).read_bytes(), [SMALL]).pixels[0]
        assert pixels.shape == (24, 32, 3)
        assert np.array_equal(pixels, expected)


def test_files_are_read_and_decoded_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert go(folder).files_read == 10
    monkeypatch.setattr(decoding, "read", lambda *_: pytest.fail("read again"))
    assert go(folder).files_read == 0
    assert prepared_job(list_folder(folder), SMALL).row_bytes == 32 * 24 * 3


def test_a_copy_is_known_by_its_content(folder: Path) -> None:
    go(folder)
    (folder / "red" / "new.png").write_bytes((folder / "red" / "img1.png").read_bytes())
    assert len(go(folder).rows[0]) == 11
    assert len(prepared_job(list_folder(folder), SMALL).rows) == 10


def test_another_size_or_channel_count_is_another_entry(folder: Path) -> None:
    for reduction in (SMALL, Reduction(channels=1, side=24), Reduction(channels=3, side=25)):
        assert go(folder, reduction).files_read == 10


def test_unreadable_files_are_named_and_left_out(folder: Path) -> None:
    (folder / "red" / "img0.jpg").write_bytes(b"")
    found = go(folder)
    assert found.skipped == {os.path.join("red", "img0.jpg"): "zero bytes"}
    assert len(found.rows[0]) == 9


def test_the_size_is_said_before_the_work_starts(folder: Path) -> None:
    said = []

    def track(items: Iterable[T], total: int, what: str) -> Iterable[T]:
        said.append((total, what, cache_usage()["images"]))
        return items

    prepare_images(list_folder(folder), Reduction(channels=3, side=40), threads=1, track=track)
    # 64 x 48 becomes 54 x 40, times 3 bytes and 10 images: 64,800 bytes; nothing was on disk yet
    assert said == [(10, "images at 40 px (64.8 kB to cache)", 0)]


def test_the_estimate_is_exact_where_the_sizes_are_alike(folder: Path) -> None:
    listing = list_folder(folder)
    assert estimate_bytes(listing, listing.samples, Reduction(channels=3, side=40)) == 54 * 40 * 3
    assert estimate_bytes(listing, listing.samples, Reduction(channels=1, side=400)) == 64 * 48  # never enlarged
    assert sum(pixels.nbytes for pixels in go(folder, Reduction(channels=3, side=40)).rows[0]) == 54 * 40 * 3 * 10


def test_the_size_is_that_of_these_images_whatever_else_was_prepared(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "thumbnails" / "a").mkdir(parents=True)
    for i in range(12):
        Image.new("RGB", (8, 8), (i, 0, 0)).save(tmp_path / "thumbnails" / "a" / f"{i}.png")
    go(tmp_path / "thumbnails")
    assert prepared_job(list_folder(folder), SMALL).row_bytes == 32 * 24 * 3
    go(folder)
    monkeypatch.setattr(Files, "read", lambda *_: pytest.fail("read again"))
    assert prepared_job(list_folder(folder), SMALL).row_bytes == 32 * 24 * 3
    assert prepared_job(list_folder(tmp_path / "thumbnails"), SMALL).row_bytes == 8 * 8 * 3


def test_of_many_files_some_are_read_for_the_estimate(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listing, reads = list_folder(folder), []
    real = Files.read

    def read(source: Files, name: str) -> bytes:
        reads.append(name)
        return real(source, name)

    monkeypatch.setattr(Files, "read", read)
    assert estimate_bytes(listing, listing.samples * 200, Reduction(channels=3, side=40)) == 54 * 40 * 3
    assert len(reads) == 100


def test_files_without_a_header_do_not_count_in_the_estimate(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "a.jpg").write_bytes(b"x")
    Image.new("RGB", (10, 10)).save(tmp_path / "a" / "b.png")
    listing = list_folder(tmp_path)
    assert estimate_bytes(listing, listing.samples[:1], SMALL) == 0
    assert estimate_bytes(listing, listing.samples, SMALL) == 300


def test_images_larger_than_the_cache_are_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONVWISE_CACHE_GB", "1e-5")
    text = "images at 24 px of 10 files take 23.0 kB of cache, and CONVWISE_CACHE_GB allows 10.0 kB; raise it"
    with pytest.raises(UsageError, match=f"^{re.escape(text)}$"):
        go(folder)


def test_images_larger_than_the_disk_are_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "free_disk", lambda: 20_000)
    text = (
        f"images at 24 px of 10 files take 23.0 kB of disk, and {str(cache_dir())!r} has 20.0 kB left; free some space "
        "(`convwise cache --clear`) or set CONVWISE_CACHE to another disk"
    )
    with pytest.raises(MachineError, match=f"^{re.escape(text)}$"):
        go(folder)


def test_room_is_asked_for_before_anything_is_done(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job, size = prepared_job(list_folder(folder), SMALL), 32 * 24 * 3 * 10
    for there, expected in ((size, True), (size - 1, False)):
        monkeypatch.setattr(room, "cache_limit", lambda there=there: there)
        monkeypatch.setattr(room, "free_disk", lambda there=there: there)
        assert room.within_limit([job], list_folder(folder)) is expected
        assert room.has_disk([job], list_folder(folder)) is expected


def test_what_the_cache_may_take_does_not_depend_on_what_it_holds(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, size = prepared_job(list_folder(folder), SMALL), 32 * 24 * 3 * 10
    go(folder)
    monkeypatch.setattr(room, "cache_limit", lambda: size - 1)
    assert not room.within_limit([job], list_folder(folder))


def test_only_these_images_count_where_room_is_asked_for(
    folder: Path, make_photos: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    others = make_photos(tmp_path / "others", 20, ("green",))
    go(others)
    monkeypatch.setattr(room, "free_disk", lambda: 0)
    for photos, expected in ((others, True), (folder, False)):
        listing = list_folder(photos)
        assert room.has_disk([prepared_job(listing, SMALL)], listing) is expected


def test_what_is_there_already_needs_no_room(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    go(folder)
    monkeypatch.setattr(room, "free_disk", lambda: 0)
    assert go(folder).files_read == 0


def test_images_on_disk_take_no_memory_but_those_under_way(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    needed = 2 * 3 * 32 * 24 * 3  # two threads; Pillow's own, its bytes, the array
    monkeypatch.setattr(machine, "machine_memory", lambda: needed)
    go(folder)
    monkeypatch.setattr(machine, "machine_memory", lambda: needed - 1)
    with pytest.raises(MachineError, match=r"^reading images at 24 px of 10 files needs about 13\.8 kB .*; take fewer"):
        go(folder)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_a_kill_loses_at_most_what_was_not_flushed(tmp_path: Path, make_photos: Callable[..., Path]) -> None:
    folder = make_photos(tmp_path / "many", 200, ("blue", "red"))
    script = (
        "import sys; from pathlib import Path; from convwise.data.reduction import Reduction\n"
        "from convwise.data.samples import list_folder\n"
        "from convwise.runtime import images; from convwise.runtime.prepared import prepare_images\n"
        "images.FLUSH_BYTES = 20_000\n"
        "prepare_images(list_folder(Path(sys.argv[1])), Reduction(channels=3, side=24), threads=1)"
    )
    child = subprocess.Popen([sys.executable, "-c", script, str(folder)])
    while not list(cache_dir().glob("images/*/*.images")):
        assert child.poll() is None
        time.sleep(0.002)
    child.send_signal(signal.SIGKILL)
    child.wait()
    kept = len(prepared_job(list_folder(folder), SMALL).rows)
    assert 0 < kept < 400
    found = go(folder)
    assert found.files_read <= 400
    assert len(prepared_job(list_folder(folder), SMALL).rows) == 400
    for sample, pixels in zip(found.samples, found.rows[0], strict=True):
        assert np.array_equal(pixels, decoding.decode((folder / sample.path).read_bytes(), [SMALL]).pixels[0])


def test_an_interruption_keeps_what_was_finished(folder: Path) -> None:
    def interrupted(items: Iterable[T], total: int, what: str) -> Iterable[T]:  # noqa: ARG001
        for i, item in enumerate(items):
            if i == 4:
                raise KeyboardInterrupt
            yield item

    with pytest.raises(KeyboardInterrupt):
        prepare_images(list_folder(folder), SMALL, threads=1, track=interrupted)
    assert len(prepared_job(list_folder(folder), SMALL).rows) == 4
    assert go(folder).files_read == 6
