"""What the frozen part of a network makes of each image, computed once and kept in the cache."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from .. import __version__
from ..data import decoding
from ..data.augmentation import Augmentation, draw
from ..data.augmentation.applying import apply, made_by
from ..data.augmentation.batches import Images, without_its_own_threads
from ..data.preprocessing import Preprocessing
from ..data.threads import map_in_order
from ..errors import NoCacheRoomError
from ..machine import in_bytes
from ..progress import Track
from ..runtime.cache import key_of, make_room
from ..runtime.jobs import Job
from ..runtime.room import check_room
from ..runtime.rows import Rows
from ..runtime.session import FrozenNetwork

Pixels = NDArray[np.uint8]

MOST = float(np.finfo(np.float16).max)


class Prefix(NamedTuple):
    """The frozen part of a network.

    Attributes:
        frozen: runs it.
        graph_sha256: of its graph.
        cut: where it ends.
        shape: of what one image gives there, (C, h, w).
        preprocessing: of the pixels that it takes.
        precision: in which that is kept, "float16" or "float32".
        kept: folders of the cache that never make way for others.
    """

    frozen: FrozenNetwork
    graph_sha256: str
    cut: str
    shape: tuple[int, int, int]
    preprocessing: Preprocessing
    precision: str = "float16"
    kept: frozenset[Path] = frozenset()

    def plain(
        self, pixels: Pixels, contents: Sequence[bytes], which: str, *, threads: int, track: Track
    ) -> NDArray[Any]:
        """Of images as an evaluation sees them: pixels (n, H, W, C) -> (n, h, w, C'); `which` they are, in words."""
        return self._rows(None, contents, lambda i: pixels[i], threads=threads, track=track, what=f"of {which}")

    def view(
        self, images: Images, contents: Sequence[bytes], augmentation: Augmentation, number: int, *,
        threads: int, track: Track,
    ) -> NDArray[Any]:  # fmt: skip
        """Of one augmented view of each image, (n, h, w, C'); the view follows from content and number alone.

        Args:
            images: whole, uint8 (H, W, C) of any size, n of them.
            contents: SHA-256 of each one's file.
            augmentation: what is drawn.
            number: of the view.
            threads: images at once.
            track: shows progress.
        """
        samples = [int.from_bytes(content[:8]) >> 1 for content in contents]
        draws = list(draw(augmentation, 0, number, samples))

        def pixels(i: int) -> Pixels:
            return apply(images[i], draws[i], augmentation, self.preprocessing)

        seen = _seen(augmentation, number)
        return self._rows(seen, contents, pixels, threads=threads, track=track, what=f"of view {number + 1}")

    def keys(self, augmentation: Augmentation | None, views: int) -> list[str]:
        """Names of the rows of plain images and of so many views: of all that decides their numbers but the images."""
        seen = [_seen(augmentation, number) for number in range(views)] if augmentation is not None else []
        return [self._key(one) for one in (None, *seen)]

    def reserve(
        self, plain: Sequence[bytes], viewed: Sequence[bytes] = (), augmentation: Augmentation | None = None,
        views: int = 0, *, threads: int,
    ) -> Self:  # fmt: skip
        """Find room, before anything is computed, for all that is wanted; none of it makes way for the rest of it.

        Args:
            plain: SHA-256 of the files that are wanted as an evaluation sees them.
            viewed: of those that are wanted in so many views.
            augmentation: of the views.
            views: of each of those images.
            threads: images at once.

        Raises:
            NoRoomError: it is more than the cache may take, or more than disk or memory can take.
        """
        stores = [self._store(key) for key in self.keys(augmentation, views)]
        make_room({store.folder for store in stores})
        asked = [plain, *[viewed] * views]
        absent = sum(content not in store for store, one in zip(stores, asked, strict=True) for content in one)
        files, row_bytes = len({*plain, *viewed}), stores[0].row_bytes
        each = sum(map(len, asked)) * row_bytes / max(1, files)
        check_room([self._job(stores[0], views, each)], files, absent * row_bytes, threads)
        return self._replace(kept=frozenset(store.folder for store in stores))

    def _rows(
        self, seen: dict[str, Any] | None, contents: Sequence[bytes], pixels: Callable[[int], Pixels],
        *, threads: int, track: Track, what: str,
    ) -> NDArray[Any]:  # fmt: skip
        """Take what is kept, compute and keep the rest.

        Raises:
            NoRoomError: the rows are more than the cache may take, more than their type can hold, or more than the disk
                or the memory can take.
            MachineError: the disk gave out.
        """
        rows = self._store(self._key(seen))
        make_room({*self.kept, rows.folder})
        out, absent = rows.read(list(contents))
        gone = set(absent)
        missing = [i for i, content in enumerate(contents) if content in gone]
        to_write = len(missing) * rows.row_bytes
        check_room([self._job(rows, 0, rows.row_bytes)], len(contents), to_write, threads)

        def compute(i: int) -> NDArray[Any]:
            return self._held(self.frozen.run(pixels(i)[None], [self.cut])[0])

        with without_its_own_threads():
            done = map_in_order(compute, missing, threads)
            told = f"activations at {self.cut} {what} ({in_bytes(to_write)} to cache)"
            try:
                for i, row in track(zip(missing, done, strict=True), len(missing), told) if missing else ():
                    out[i] = row
                    rows.add(contents[i], row)
            finally:  # after Ctrl-C too: what is finished is kept
                rows.flush()
        return out

    def _held(self, found: NDArray[np.float32]) -> NDArray[Any]:
        """What the network gives of one image, (1, C, h, w) or (1, C), as a row (h, w, C).

        Raises:
            NoCacheRoomError: float16 cannot hold it.
        """
        if self.precision == "float16" and not (largest := float(np.abs(found).max())) <= MOST:
            raise NoCacheRoomError(
                f"activations at {self.cut} reach {largest:.3g}, and float16, in which they are kept, ends at "
                f"{MOST:g}; freeze up to another cut, or take transfer 'full'"
            )
        return np.ascontiguousarray(np.moveaxis(found.reshape(self.shape), 0, 2), self.precision)

    def _store(self, key: str) -> Rows:
        """Where rows (h, w, C) are kept."""
        channels, height, width = self.shape
        return Rows(key, (height, width, channels), self.precision)

    def _job(self, rows: Rows, views: int, row_bytes: float) -> Job:
        """What is asked of the room there is: so many bytes of each file."""
        name = f"activations at {self.cut}" + (f" of {views} views" if views > 1 else "")
        return Job(name, self.preprocessing, rows, lambda p: p, row_bytes=row_bytes, image_bytes=0, growth=0)

    def _key(self, seen: dict[str, Any] | None) -> str:
        return key_of(
            {
                "rows": "activations", "graph": self.graph_sha256, "cut": self.cut, "type": self.precision,
                "preprocessing": self.preprocessing.to_json(), "decoding": decoding.rule(),
                "engine": self.frozen.engine(), "view": seen,
            }
        )  # fmt: skip


def _seen(augmentation: Augmentation, number: int) -> dict[str, Any]:
    """What decides a view; how images are changed, and how large they are prepared, may differ between versions."""
    return {"augmentation": augmentation.to_json(), "number": number, "convwise": __version__, **made_by()}
