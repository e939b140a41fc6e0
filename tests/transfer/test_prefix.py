"""The frozen part: its rows are those of torch, follow from files alone, and are computed once."""

import hashlib
import os
import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from convwise import networks
from convwise.data.augmentation import Augmentation
from convwise.data.preprocessing import Preprocessing
from convwise.errors import NoCacheRoomError, NoMachineRoomError
from convwise.networks.cutting import shape_at
from convwise.runtime.graph import export_graph
from convwise.runtime.session import FrozenNetwork
from convwise.transfer.prefix import Prefix

SEEN = Preprocessing(resolution=32, crop=1.0, mean=(120.0, 110.0, 100.0), std=(60.0, 55.0, 50.0))
CUT = "stage2.block1"
MOVED = Augmentation(mirror=0.5, area=(0.3, 1.0), rotation=20.0, hue=20.0, erasing=0.5)

Track = Any


class Counting(FrozenNetwork):
    """Counts the images that it sees."""

    def __init__(self, graph: bytes) -> None:
        super().__init__(graph)
        self.count = 0

    def run(self, pixels: NDArray[np.uint8], outputs: Any) -> list[NDArray[np.float32]]:
        self.count += len(pixels)
        return super().run(pixels, outputs)


@pytest.fixture(scope="module")
def network() -> torch.nn.Module:
    """ResNet-18 with statistics of its own; tests leave it as it is."""
    torch.manual_seed(0)
    network = networks.create("resnet18", 5).eval()
    for name, buffer in network.named_buffers():
        if name.endswith("running_mean"):
            buffer.normal_(0, 0.1)
    return network


@pytest.fixture
def prefix(network: torch.nn.Module) -> Prefix:
    """Its first stage and a half."""
    graph = export_graph(network, SEEN, [CUT]).SerializeToString(deterministic=True)
    return Prefix(Counting(graph), hashlib.sha256(graph).hexdigest(), CUT, shape_at(network, CUT, (3, 32, 32)), SEEN)


def counted(prefix: Prefix) -> int:
    assert isinstance(prefix.frozen, Counting)
    return prefix.frozen.count


def images(n: int = 12) -> NDArray[np.uint8]:
    """Whole images, (n, 48, 40, 3)."""
    return np.random.default_rng(0).integers(0, 256, (n, 48, 40, 3), np.uint8)


def contents(n: int = 12) -> list[bytes]:
    """What stands for their files."""
    return [hashlib.sha256(bytes([i])).digest() for i in range(n)]


def silent(items: Iterable[Any], total: int, what: str) -> Iterable[Any]:  # noqa: ARG001
    return items


def plain(prefix: Prefix, n: int = 12, *, threads: int = 2, track: Track = silent) -> NDArray[np.float16]:
    return prefix.plain(images(n)[:, :32, :32], contents(n), "images", threads=threads, track=track)


def view(prefix: Prefix, number: int = 0, order: Any = None, *, threads: int = 2) -> NDArray[np.float16]:
    order = range(12) if order is None else order
    seen, known = images()[list(order)], [contents()[i] for i in order]
    return prefix.view(seen, known, MOVED, number, threads=threads, track=silent)


def test_rows_are_those_of_torch_within_the_rounding_of_float16(prefix: Prefix, network: torch.nn.Module) -> None:
    pixels = images()[:, :32, :32]
    x = ((torch.from_numpy(pixels).float() - torch.tensor(SEEN.mean)) / torch.tensor(SEEN.std)).permute(0, 3, 1, 2)
    with torch.no_grad():
        for _, part in networks.parts(network)[: networks.cuts(network).index(CUT) + 1]:
            x = part(x)
    expected, rows = x.permute(0, 2, 3, 1).numpy(), plain(prefix)
    assert rows.dtype == np.float16
    assert rows.shape == expected.shape == (12, 4, 4, 128)
    # half a unit in the last of 11 bits, and what the graph may differ by
    assert np.abs(rows - expected).max() <= np.abs(expected).max() * (2**-11 + 1e-4)


def test_views_follow_from_content_and_number_alone(
    prefix: Prefix, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = view(prefix, threads=1)
    for i, threads in enumerate((2, 4)):
        monkeypatch.setenv("CONVWISE_CACHE", str(cache / str(i)))
        assert view(prefix, threads=threads).tobytes() == first.tobytes()
    monkeypatch.setenv("CONVWISE_CACHE", str(cache / "other order"))
    order = np.random.default_rng(1).permutation(12)
    assert view(prefix, order=order).tobytes() == first[order].tobytes()
    assert not np.array_equal(view(prefix, number=1), first)
    assert len({row.tobytes() for row in first}) == 12


def test_what_is_kept_is_not_computed_again(prefix: Prefix) -> None:
    told: list[tuple[int, str]] = []

    def track(items: Iterable[Any], total: int, what: str) -> Iterable[Any]:
        told.append((total, what))
        return items

    first = plain(prefix, 8, track=track)
    assert counted(prefix) == 8
    assert plain(prefix, track=track)[:8].tobytes() == first.tobytes()
    assert counted(prefix) == 12  # four more
    assert plain(prefix, track=track)[:8].tobytes() == first.tobytes()
    assert counted(prefix) == 12
    # 4 x 4 x 128 numbers of two bytes each
    assert told == [
        (8, f"activations at {CUT} of images (32.8 kB to cache)"),
        (4, f"activations at {CUT} of images (16.4 kB to cache)"),
    ]


def test_another_view_augmentation_or_graph_has_rows_of_its_own(prefix: Prefix) -> None:
    view(prefix)
    view(prefix, 1)
    other = Augmentation(mirror=0.5)
    prefix.view(images(), contents(), other, 0, threads=1, track=silent)
    plain(prefix)
    plain(prefix._replace(graph_sha256="0" * 64))
    assert counted(prefix) == 5 * 12


CHANGED = Augmentation(mirror=0.5)


@pytest.mark.parametrize(
    "other",
    [
        lambda p: p._replace(graph_sha256="f" * 64),
        lambda p: p._replace(cut="stage3.block1"),
        lambda p: p._replace(precision="float32"),
        lambda p: p._replace(preprocessing=replace(p.preprocessing, crop=0.5)),
    ],
)
def test_the_keys_hold_what_decides_the_rows(prefix: Prefix, other: Callable[[Prefix], Prefix]) -> None:
    same, found = prefix.keys(CHANGED, 2), other(prefix).keys(CHANGED, 2)
    assert len({*same}) == 3
    assert not {*same} & {*found}
    assert prefix.keys(CHANGED, 3)[:3] == same
    assert prefix.keys(None, 2) == same[:1]


def test_the_keys_hold_engine_version_and_libraries_too(prefix: Prefix, monkeypatch: pytest.MonkeyPatch) -> None:
    same = prefix.keys(CHANGED, 2)
    monkeypatch.setattr("convwise.transfer.prefix.made_by", lambda: {"cv2": "another"})
    assert [a == b for a, b in zip(prefix.keys(CHANGED, 2), same, strict=True)] == [True, False, False]
    monkeypatch.undo()
    monkeypatch.setattr("convwise.transfer.prefix.__version__", "another")
    assert [a == b for a, b in zip(prefix.keys(CHANGED, 2), same, strict=True)] == [True, False, False]
    monkeypatch.undo()
    monkeypatch.setattr(type(prefix.frozen), "engine", lambda _: "another")
    assert not {*prefix.keys(CHANGED, 2)} & {*same}


@pytest.mark.parametrize("damage", ["deleted", "cut short"])
def test_a_segment_that_is_gone_or_damaged_is_computed_again(prefix: Prefix, cache: Path, damage: str) -> None:
    first = plain(prefix)
    (segment,) = (cache / "rows").glob("*/*.npz")
    if damage == "deleted":
        segment.unlink()
    else:
        segment.write_bytes(segment.read_bytes()[:-1000])
    assert plain(prefix).tobytes() == first.tobytes()
    assert counted(prefix) == 24


def test_an_interruption_keeps_what_is_finished(prefix: Prefix) -> None:
    def track(items: Iterable[Any], total: int, what: str) -> Iterable[Any]:  # noqa: ARG001
        for done, item in enumerate(items):
            if done == 7:
                raise KeyboardInterrupt
            yield item

    with pytest.raises(KeyboardInterrupt):
        plain(prefix, threads=1, track=track)
    before = counted(prefix)
    plain(prefix)
    assert counted(prefix) == before + 12 - 7


def test_what_float16_cannot_hold_is_refused(prefix: Prefix) -> None:
    class Loud(Counting):
        def run(self, pixels: NDArray[np.uint8], outputs: Any) -> list[NDArray[np.float32]]:
            return [found * np.float32(1e5) for found in super().run(pixels, outputs)]

    frozen = prefix.frozen.session._model_bytes
    text = (
        f"activations at {CUT} reach [0-9.e+]+, and float16, in which they are kept, ends at 65504; freeze up to "
        "another cut, or take transfer 'full'"
    )
    with pytest.raises(NoCacheRoomError, match=f"^{text}$"):
        plain(prefix._replace(frozen=Loud(frozen), graph_sha256="1" * 64))


def test_no_room_in_the_cache_is_said_before_the_first_image(prefix: Prefix, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONVWISE_CACHE_GB", "0.0001")  # 100 kB: two views of 12 times 4,096 bytes, but not three
    prefix.reserve([], contents(), MOVED, 2, threads=1)
    text = (
        f"activations at {CUT} of 3 views of 12 files take 147.5 kB of cache, and CONVWISE_CACHE_GB allows 100.0 kB; "
        "raise it"
    )
    with pytest.raises(NoCacheRoomError, match=f"^{re.escape(text)}$"):
        prefix.reserve([], contents(), MOVED, 3, threads=1)
    with pytest.raises(NoCacheRoomError, match=r"of 2 views of 13 files take 102\.4 kB of cache"):  # one more as it is
        prefix.reserve([bytes(32)], contents(), MOVED, 2, threads=1)
    monkeypatch.setenv("CONVWISE_CACHE_GB", "0.00001")
    with pytest.raises(NoCacheRoomError, match=f"^activations at {re.escape(CUT)} of 12 files take 49.2 kB of cache, "):
        plain(prefix)
    assert counted(prefix) == 0


def test_what_is_still_to_be_written_must_have_room_on_the_disk(
    prefix: Prefix, monkeypatch: pytest.MonkeyPatch
) -> None:
    view(prefix)
    monkeypatch.setattr("convwise.runtime.room.free_disk", lambda: 50_000)
    prefix.reserve([], contents(), MOVED, 2, threads=1)  # one of the two is there
    text = f"activations at {CUT} of 3 views of 12 files take 98.3 kB of disk, and "
    with pytest.raises(NoMachineRoomError, match=f"^{re.escape(text)}"):
        prefix.reserve([], contents(), MOVED, 3, threads=1)


def test_what_memory_cannot_hold_is_refused_before_the_first_image(
    prefix: Prefix, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = f"reading activations at {CUT} of 3 views of 12 files needs about "
    monkeypatch.setattr("convwise.runtime.room.has_memory", lambda _: False)
    with pytest.raises(NoMachineRoomError, match=f"^{re.escape(text)}"):
        prefix.reserve([], contents(), MOVED, 3, threads=1)
    assert counted(prefix) == 0


def test_what_a_training_wants_stays_while_older_work_of_others_would_make_way(
    prefix: Prefix, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = [view(prefix, number) for number in range(3)]
    for folder in (cache / "rows").iterdir():
        os.utime(folder, (1, 1))  # used long ago
    plain(prefix._replace(graph_sha256="0" * 64))  # of another run, and the newest
    monkeypatch.setenv("CONVWISE_CACHE_GB", "0.00018")  # four times 12 rows of 4,096 bytes are 197 kB
    kept = prefix.reserve([], contents(), MOVED, 3, threads=1)
    assert [view(kept, number).tobytes() for number in range(3)] == [one.tobytes() for one in first]
    assert counted(prefix) == 4 * 12  # none was computed again
    assert {folder.name for folder in (cache / "rows").iterdir()} == {*prefix.keys(MOVED, 3)[1:]}


def test_no_room_on_the_disk_or_in_memory_is_said_too(prefix: Prefix, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("convwise.runtime.room.free_disk", lambda: 1000)
    with pytest.raises(
        NoMachineRoomError, match=f"^activations at {re.escape(CUT)} of 12 files take 49.2 kB of disk, and "
    ):
        plain(prefix)
    monkeypatch.undo()
    monkeypatch.setattr("convwise.runtime.room.has_memory", lambda needed: needed < 40_000)
    with pytest.raises(
        NoMachineRoomError, match=f"^reading activations at {re.escape(CUT)} of 12 files needs about 49.2 kB"
    ):
        plain(prefix)
    assert counted(prefix) == 0
