import gzip
import re
import struct
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from convwise.data.decoding import decode
from convwise.data.idx import has_idx, list_idx
from convwise.data.preprocessing import Preprocessing
from convwise.errors import DataError

FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")  # of Debian's package dataset-fashion-mnist
LEVELS = np.arange(5 * 3 * 4, dtype=np.uint8).reshape(5, 3, 4)  # five images, 4 wide and 3 high

MakeIdx = Callable[..., Path]


def refuses(folder: Path, text: str) -> None:
    with pytest.raises(DataError, match=f"^{re.escape(text)}$"):
        list_idx(folder)


@pytest.mark.parametrize("ending", ["", ".gz"])
def test_pairs_are_splits_and_classes_are_numbers(tmp_path: Path, make_idx: MakeIdx, ending: str) -> None:
    make_idx(tmp_path, "train", LEVELS, [7, 0, 10, 255, 0], ending)
    make_idx(tmp_path, "t10k", LEVELS[3:], [0, 7], ending)
    assert has_idx(tmp_path)
    listing = list_idx(tmp_path)
    train, test = f"train-images-idx3-ubyte{ending}", f"t10k-images-idx3-ubyte{ending}"
    assert [(s.path, s.label, s.split) for s in listing.samples] == [
        *((f"{train}#{i}", label, "train") for i, label in enumerate(["7", "0", "10", "255", "0"])),
        (f"{test}#0", "0", "test"),
        (f"{test}#1", "7", "test"),
    ]
    assert listing.ignored == {}
    expected = [*LEVELS, *LEVELS[3:]]
    for sample, levels in zip(listing.samples, expected, strict=True):
        data = listing.read(sample)
        assert data == b"P5 4 3 255\n" + levels.tobytes()
        same = Preprocessing(channels=1, fit="pad", resolution=4, mean=(0,), std=(1,))  # one row of black below
        header, (pixels,) = decode(data, [same])
        assert header == ("PPM", 4, 3, False)
        assert np.array_equal(pixels[:3, :, 0], levels)


def test_an_image_has_the_stamp_of_its_file_from_before_it_was_read(tmp_path: Path, make_idx: MakeIdx) -> None:
    listing = list_idx(make_idx(tmp_path, "train", LEVELS, [0] * 5))
    before = listing.stamp(listing.samples[0])
    assert before is not None
    assert before.size == 16 + LEVELS.size
    make_idx(tmp_path, "train", LEVELS[:4], [1] * 4)
    assert {listing.stamp(s) for s in listing.samples} == {before}
    again = list_idx(tmp_path)
    assert again.stamp(again.samples[0]) != before
    assert listing.path(listing.samples[2]) == tmp_path / "train-images-idx3-ubyte#2"


def test_of_a_file_and_its_packed_copy_the_file_is_read(tmp_path: Path, make_idx: MakeIdx) -> None:
    make_idx(tmp_path, "train", LEVELS, [0] * 5, ".gz")
    make_idx(tmp_path, "train", LEVELS, [1] * 5)
    (tmp_path / "LICENSE").touch()
    (tmp_path / ".hidden").touch()
    listing = list_idx(tmp_path)
    assert {s.label for s in listing.samples} == {"1"}
    assert listing.ignored == {"files beside the IDX files": 3}


def test_other_folders_have_no_idx(tmp_path: Path, photos: Path) -> None:
    assert not any(has_idx(path) for path in (tmp_path, photos, tmp_path / "absent", Path("x" * 300)))


def test_idx_files_beside_folders_are_refused(tmp_path: Path, make_idx: MakeIdx) -> None:
    make_idx(tmp_path, "train", LEVELS, [0] * 5)
    (tmp_path / "cat").mkdir()
    (tmp_path / ".git").mkdir()
    refuses(
        tmp_path,
        f"data folder {str(tmp_path)!r} mixes IDX files with folders (cat); give the IDX files a folder of their own",
    )


@pytest.mark.parametrize("gone", ["images-idx3-ubyte", "labels-idx1-ubyte"])
def test_one_file_of_a_pair_is_refused(tmp_path: Path, make_idx: MakeIdx, gone: str) -> None:
    make_idx(tmp_path, "train", LEVELS, [0] * 5)
    make_idx(tmp_path, "t10k", LEVELS, [0] * 5, ".gz")
    (tmp_path / f"t10k-{gone}.gz").unlink()
    (there,) = tmp_path.glob("t10k*")
    refuses(tmp_path, f"{str(there)!r} has no 't10k-{gone}' beside it; images and labels belong together")


def test_as_many_labels_as_images(tmp_path: Path, make_idx: MakeIdx) -> None:
    make_idx(tmp_path, "train", LEVELS, [0] * 4)
    images, labels = tmp_path / "train-images-idx3-ubyte", tmp_path / "train-labels-idx1-ubyte"
    refuses(tmp_path, f"{str(images)!r} has 5 images, and {str(labels)!r} 4 labels; they do not belong together")


@pytest.mark.parametrize("left", [75, 16, 15, 4, 3, 0])
def test_a_file_cut_short_is_refused(tmp_path: Path, make_idx: MakeIdx, left: int) -> None:
    file = make_idx(tmp_path, "train", LEVELS, [0] * 5) / "train-images-idx3-ubyte"
    file.write_bytes(file.read_bytes()[:left])
    promised = 16 + 5 * 3 * 4 if left >= 16 else 17  # the least, where the header itself is cut
    refuses(tmp_path, f"IDX file {str(file)!r} is cut short: it has {left} of {promised} bytes; get it again")


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_a_packed_file_cut_short_is_refused(tmp_path: Path, make_idx: MakeIdx, share: float) -> None:
    file = make_idx(tmp_path, "train", LEVELS, [0] * 5, ".gz") / "train-images-idx3-ubyte.gz"
    data = file.read_bytes()
    file.write_bytes(data[: int(share * len(data))])
    refuses(tmp_path, f"IDX file {str(file)!r} is cut short; get it again")


def test_a_packed_file_of_a_file_cut_short_is_refused(tmp_path: Path, make_idx: MakeIdx) -> None:
    file = make_idx(tmp_path, "train", LEVELS, [0] * 5, ".gz") / "train-labels-idx1-ubyte.gz"
    file.write_bytes(gzip.compress(gzip.decompress(file.read_bytes())[:-1]))
    refuses(tmp_path, f"IDX file {str(file)!r} is cut short: it has 12 of 13 bytes; get it again")


def test_a_damaged_packed_file_is_refused(tmp_path: Path, make_idx: MakeIdx) -> None:
    file = make_idx(tmp_path, "train", LEVELS, [0] * 5, ".gz") / "train-images-idx3-ubyte.gz"
    data = file.read_bytes()
    file.write_bytes(data[:10] + b"\xff" * (len(data) - 18) + data[-8:])
    with pytest.raises(DataError, match=rf"^IDX file {re.escape(repr(str(file)))} is damaged: .+; get it again$"):
        list_idx(tmp_path)
    file.write_bytes(b"no gzip at all")
    refuses(tmp_path, f"IDX file {str(file)!r} cannot be read: Not a gzipped file (b'no')")


def test_a_file_of_another_kind_is_refused(tmp_path: Path, make_idx: MakeIdx) -> None:
    file = make_idx(tmp_path, "train", LEVELS, [0] * 5) / "train-images-idx3-ubyte"
    data = file.read_bytes()
    file.write_bytes(bytes((0, 0, 0x0D, 3)) + data[4:])
    refuses(
        tmp_path,
        f"{str(file)!r} is no IDX file of 3 dimension(s) of unsigned bytes: it begins with 00 00 0d 03, "
        "not with 00 00 08 03",
    )


def test_a_file_longer_than_its_header_says_is_refused(tmp_path: Path, make_idx: MakeIdx) -> None:
    file = make_idx(tmp_path, "train", LEVELS, [0] * 5) / "train-images-idx3-ubyte"
    file.write_bytes(file.read_bytes() + b"!")
    refuses(tmp_path, f"IDX file {str(file)!r} has 77 bytes, and its header says 5 x 3 x 4; get it again")


@pytest.mark.parametrize("shape", [(0, 3, 4), (5, 0, 4)])
def test_a_file_without_pixels_is_refused(tmp_path: Path, make_idx: MakeIdx, shape: tuple[int, ...]) -> None:
    file = make_idx(tmp_path, "train", np.zeros(shape, np.uint8), [0] * 5) / "train-images-idx3-ubyte"
    what = " x ".join(map(str, shape))
    refuses(tmp_path, f"IDX file {str(file)!r} has 16 bytes, and its header says {what}; get it again")


def test_a_header_that_promises_the_impossible_allocates_nothing(tmp_path: Path, make_idx: MakeIdx) -> None:
    file = make_idx(tmp_path, "train", LEVELS, [0] * 5) / "train-images-idx3-ubyte"
    most = 2**32 - 1
    file.write_bytes(struct.pack(">BBBBIII", 0, 0, 8, 3, most, most, most) + b"few")
    refuses(tmp_path, f"IDX file {str(file)!r} is cut short: it has 19 of {16 + most**3} bytes; get it again")


def test_fashion_mnist_is_listed_in_a_second() -> None:
    if not FASHION_MNIST.is_dir():
        pytest.skip("Debian's package dataset-fashion-mnist is not installed")
    start = time.process_time()
    listing = list_idx(FASHION_MNIST)
    assert time.process_time() - start < 1
    counts = Counter((s.split, s.label) for s in listing.samples)
    # the README of the data set: ten classes alike, 60,000 images to train and 10,000 to test
    assert counts == {(split, str(c)): n for split, n in (("train", 6000), ("test", 1000)) for c in range(10)}
    assert decode(listing.read(listing.samples[-1]), []).header[:3] == ("PPM", 28, 28)
