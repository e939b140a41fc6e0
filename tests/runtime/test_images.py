import errno
import hashlib
import os
import re
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from convwise.errors import MachineError
from convwise.places import cache_dir
from convwise.runtime import images as images_module
from convwise.runtime import mapped
from convwise.runtime.cache import cache_usage, clear_cache, make_room
from convwise.runtime.images import StoredImages
from convwise.runtime.mapped import MappedImages

Pixels = NDArray[np.uint8]

KEY = "test"


def content(i: int) -> bytes:
    return hashlib.sha256(str(i).encode()).digest()


def image(i: int) -> Pixels:
    """Another size for each number."""
    return np.full((i + 1, 2 * i + 3, 3), i, np.uint8)


def filled(numbers: range, store: StoredImages | None = None) -> StoredImages:
    store = StoredImages(KEY, 3) if store is None else store
    for i in numbers:
        store.add(content(i), image(i))
    store.flush()
    return store


def values(store: StoredImages, numbers: list[int]) -> tuple[list[int], list[bytes]]:
    """Level of each image, after a look at its shape."""
    found, missing = store.read([content(i) for i in numbers])
    if missing:
        return [], missing
    for i, pixels in zip(numbers, found, strict=True):
        assert pixels.shape == image(i).shape
        assert (pixels == pixels[0, 0, 0]).all()
    return [int(pixels[0, 0, 0]) for pixels in found], missing


def segments() -> list[Path]:
    return sorted((cache_dir() / "images" / KEY).glob("*"))


def test_images_come_back_in_the_order_asked() -> None:
    store = filled(range(5))
    assert values(store, [3, 0, 4, 3]) == ([3, 0, 4, 3], [])
    assert len(store) == 5
    assert content(2) in store
    assert content(7) not in store


def test_what_is_not_known_is_missing() -> None:
    assert values(filled(range(2)), [1, 7]) == ([], [content(7)])
    assert values(StoredImages("none", 3), []) == ([], [])


def test_images_survive_the_process_that_made_them() -> None:
    script = (
        "import hashlib, numpy as np; from convwise.runtime.images import StoredImages\n"
        f"store = StoredImages({KEY!r}, 3)\n"
        "for i in range(3): store.add(hashlib.sha256(str(i).encode()).digest(), "
        "np.full((i + 1, 2 * i + 3, 3), i, np.uint8))\n"
        "store.flush()"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
    assert values(StoredImages(KEY, 3), [2, 1, 0]) == ([2, 1, 0], [])


def test_what_was_not_flushed_is_readable_here_and_lost_elsewhere() -> None:
    store = StoredImages(KEY, 3)
    store.add(content(1), image(1))
    assert content(1) in store
    assert content(1) not in StoredImages(KEY, 3)
    assert values(store, [1]) == ([1], [])


def test_images_are_flushed_by_size_and_by_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images_module, "FLUSH_BYTES", 3 * image(9).nbytes)
    store = StoredImages(KEY, 3)
    for number in range(3):
        assert len(segments()) == 0
        store.add(content(number), image(9))
    assert len(segments()) == 1
    monkeypatch.setattr(images_module, "FLUSH_SECONDS", 0.0)
    StoredImages(KEY, 3).add(content(3), image(9))
    assert len(segments()) == 2


def test_an_image_is_a_view_of_the_file_and_cannot_be_written() -> None:
    found, _ = filled(range(3)).read([content(2)])
    assert not found[0].flags.writeable
    assert not found[0].flags.owndata


def test_grey_images_keep_their_one_channel() -> None:
    store = StoredImages("grey", 1)
    store.add(content(0), np.full((3, 4, 1), 8, np.uint8))
    assert store.read([content(0)])[0][0].shape == (3, 4, 1)


def test_images_of_several_segments_and_writers_are_seen_together() -> None:
    one, other = StoredImages(KEY, 3), StoredImages(KEY, 3)
    filled(range(2), one)
    filled(range(2, 4), other)
    assert content(2) not in one  # it opened before the other wrote
    assert values(one, [0, 2]) == ([0, 2], [])
    assert values(filled(range(4, 6), one), [0, 4, 5]) == ([0, 4, 5], [])
    assert values(StoredImages(KEY, 3), [0, 1, 2, 3, 4, 5]) == ([0, 1, 2, 3, 4, 5], [])


def change(path: Path, place: int) -> None:
    """Another byte at that place."""
    data = bytearray(path.read_bytes())
    data[place] ^= 255
    path.write_bytes(data)


@pytest.mark.parametrize("place", [-1, -10, -20, -30, -60])
def test_a_segment_with_a_changed_byte_in_its_table_is_deleted_and_its_images_are_missing(place: int) -> None:
    filled(range(3))
    (path,) = segments()
    change(path, place)
    assert len(StoredImages(KEY, 3)) == 0
    assert segments() == []


@pytest.mark.parametrize("place", [0, 40, -5])  # of the first image, of the last, and of the checksum itself
def test_changed_pixels_are_noticed_at_the_first_look_and_their_segment_is_deleted(place: int) -> None:
    filled(range(3))
    filled(range(3, 5))
    path, other = segments()
    change(path, place)
    found, missing = StoredImages(KEY, 3).read([content(i) for i in range(5)])
    assert not missing
    assert (found[4] == 4).all()  # of the other segment
    text = (
        f"prepared images in {str(path)!r} were damaged on disk, and the file is deleted; what was trained is kept. "
        "Repeat the command, and they are prepared again"
    )
    for number in (2, 0):
        with pytest.raises(MachineError, match=f"^{re.escape(text)}$"):
            found[number]
    assert segments() == [other]
    assert values(StoredImages(KEY, 3), [1, 3, 2]) == ([], [content(1), content(2)])


def test_pixels_are_read_when_they_are_looked_at_and_checked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for i in range(2):
        filled(range(i, i + 1))
    summed: list[int] = []
    real = zlib.crc32

    def crc32(data: memoryview, *begin: int) -> int:
        summed.append(len(data))
        return real(data, *begin)

    monkeypatch.setattr(zlib, "crc32", crc32)
    found, _ = StoredImages(KEY, 3).read([content(0), content(1)])
    table = mapped.TABLE.itemsize  # of one image
    assert summed == [table] * 4  # at opening, and when they are mapped
    for _ in range(2):
        assert (found[1] == 1).all()
    assert summed[4:] == [image(1).nbytes]


@pytest.mark.parametrize("length", [0, 1, 23, 24, 60, -1])
def test_a_segment_cut_short_is_deleted(length: int) -> None:
    filled(range(3))
    (path,) = segments()
    path.write_bytes(path.read_bytes()[:length])
    assert len(StoredImages(KEY, 3)) == 0
    assert segments() == []


def test_hundreds_of_segments_need_few_descriptors_and_none_is_deleted() -> None:
    pytest.importorskip("resource")
    script = (
        "import resource\nimport numpy as np; from convwise.runtime import images\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (48, 48))\n"
        f"store, images.SEGMENTS = images.StoredImages({KEY!r}, 3), 8\n"
        "contents = [i.to_bytes(32, 'big') for i in range(100)]\n"
        "for i, content in enumerate(contents):\n"
        "    store.add(content, np.full((4, 5, 3), i, np.uint8)); store.flush()\n"
        f"assert len(images.StoredImages({KEY!r}, 3)) == 100\n"
        "for found, missing in (store.read(contents), images.StoredImages(" + repr(KEY) + ", 3).read(contents)):\n"
        "    assert not missing and all((pixels == i).all() for i, pixels in enumerate(found))\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
    assert len(segments()) == 1


@pytest.mark.parametrize("reason", [errno.EMFILE, errno.ENOMEM])
def test_a_segment_that_cannot_be_opened_for_want_of_room_is_an_error_and_stays(
    reason: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = filled(range(3))

    def short(*_: object) -> None:
        raise OSError(reason, os.strerror(reason))

    text = (
        rf"^prepared images in .* could not be opened: {os.strerror(reason)}; what was finished is kept\. Close other "
        r"programs or allow more open files \(`ulimit -n`\), and repeat the command$"
    )
    with monkeypatch.context() as patch:
        patch.setattr(np, "memmap", short)
        with pytest.raises(MachineError, match=text):
            StoredImages(KEY, 3)
        with pytest.raises(MachineError, match=text):
            store.read([content(1)])
    assert values(StoredImages(KEY, 3), [0, 1, 2]) == ([0, 1, 2], [])


@pytest.mark.parametrize("reason", [errno.EACCES, errno.EIO])
def test_a_segment_out_of_reach_is_missing_and_stays(reason: int, monkeypatch: pytest.MonkeyPatch) -> None:
    store = filled(range(3))

    def out_of_reach(*_: object) -> None:
        raise OSError(reason, os.strerror(reason))

    with monkeypatch.context() as patch:
        patch.setattr(np, "memmap", out_of_reach)
        assert len(StoredImages(KEY, 3)) == 0
        assert values(store, [0]) == ([], [content(0)])
    assert values(store, [0, 1, 2]) == ([0, 1, 2], [])


def test_many_small_segments_are_joined_and_large_ones_are_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images_module, "SEGMENTS", 4)
    monkeypatch.setattr(images_module, "LARGE_BYTES", 3 * image(9).nbytes)
    store, other = StoredImages(KEY, 3), StoredImages(KEY, 3)
    for i in range(4):
        filled(range(i, i + 1), store)
    assert values(store, [3, 0]) == ([3, 0], [])
    assert len(segments()) == 4  # not many yet
    store.add(content(12), image(12))  # more than half of a large one
    store.flush()
    large = segments()[-1]
    kept, _ = store.read([content(2)])
    assert values(store, [3, 12, 0, 1, 2]) == ([3, 12, 0, 1, 2], [])
    assert len(segments()) == 2
    assert large in segments()
    assert (kept[0] == 2).all()
    assert values(StoredImages(KEY, 3), [0, 1, 2, 3, 12]) == ([0, 1, 2, 3, 12], [])
    assert values(other, [1, 12]) == ([1, 12], [])  # it looks again


def test_joined_segments_have_the_size_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images_module, "SEGMENTS", 4)
    monkeypatch.setattr(images_module, "LARGE_BYTES", 3 * image(9).nbytes)
    store = StoredImages(KEY, 3)
    for i in range(7):
        store.add(content(i), image(9))
        store.flush()
    assert not store.read([content(0)])[1]
    sizes = [path.stat().st_size // image(9).nbytes for path in segments()]
    assert sizes == [1, 3, 3]  # the last, left over, has the oldest name


def test_what_is_damaged_or_out_of_reach_is_not_joined(monkeypatch: pytest.MonkeyPatch) -> None:
    for i in range(4):
        filled(range(i, i + 1))
    damaged, away, *_ = segments()
    change(damaged, 0)
    monkeypatch.setattr(images_module, "SEGMENTS", 1)

    tried: set[Path] = set()

    def open_segment(segment: Path) -> mapped.MappedSegment:
        if segment == away and segment not in tried:  # it is back after that
            tried.add(segment)
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return mapped.MappedSegment(segment)

    store = StoredImages(KEY, 3)
    with monkeypatch.context() as patch:
        patch.setattr(images_module, "MappedSegment", open_segment)
        assert values(store, [0, 1, 2, 3]) == ([], [content(0)])
    assert away in segments()
    assert len(segments()) == 2
    assert values(StoredImages(KEY, 3), [1, 2, 3]) == ([1, 2, 3], [])


def test_segments_stay_as_they_are_where_there_is_no_room_to_join_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images_module, "SEGMENTS", 1)
    store = filled(range(1, 2), filled(range(1)))

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    assert values(store, [0, 1]) == ([0, 1], [])
    assert len(segments()) == 2


def test_a_cleared_cache_is_noticed_and_what_is_mapped_can_still_be_read() -> None:
    store = filled(range(3))
    found, _ = store.read([content(2)])
    clear_cache()
    assert values(store, [0, 1]) == ([], [content(0), content(1)])
    assert (found[0] == 2).all()


def test_a_full_disk_is_an_error_and_leaves_nothing_half_written(monkeypatch: pytest.MonkeyPatch) -> None:
    store = filled(range(2))
    store.add(content(5), image(5))

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", full)
        text = r"^prepared images could not be written in .*: No space left on device; what was finished is kept\. "
        with pytest.raises(MachineError, match=text):
            store.flush()
    assert len(segments()) == 1
    assert values(store, [0, 5]) == ([0, 5], [])  # it waits, and is written when there is room


def test_images_count_for_the_cache_and_the_oldest_go_first(monkeypatch: pytest.MonkeyPatch) -> None:
    store = filled(range(3))
    (path,) = segments()
    assert cache_usage()["images"] == path.stat().st_size
    monkeypatch.setenv("CONVWISE_CACHE_GB", "1e-9")
    make_room([store.folder])
    assert segments() == [path]
    make_room([])
    assert segments() == []


def test_there_is_no_image_beyond_the_last() -> None:
    found, _ = filled(range(2)).read([content(0), content(1)])
    assert isinstance(found, MappedImages)
    assert len(found) == 2
    with pytest.raises(IndexError):
        found[2]
