"""What the frozen part of a network makes of each image, computed once and kept in the cache."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..data import decoding
from ..data.augmentation import Augmentation, draw
from ..data.augmentation.applying import apply, made_by
from ..data.augmentation.batches import Images, without_its_own_threads
from ..data.preprocessing import Preprocessing
from ..data.threads import map_in_order
from ..progress import Track
from ..runtime.cache import key_of, make_room
from ..runtime.jobs import Job
from ..runtime.room import check_room
from ..runtime.rows import Rows
from ..runtime.session import FrozenNetwork

Pixels = NDArray[np.uint8]


class Prefix(NamedTuple):
    """The frozen part of a network.

    Attributes:
        frozen: runs it.
        graph_sha256: of its graph.
        cut: where it ends.
        shape: of what one image gives there, (C, h, w).
        preprocessing: of the pixels that it takes.
    """

    frozen: FrozenNetwork
    graph_sha256: str
    cut: str
    shape: tuple[int, int, int]
    preprocessing: Preprocessing

    def plain(self, pixels: Pixels, contents: Sequence[bytes], *, threads: int, track: Track) -> NDArray[np.float16]:
        """Of images as an evaluation sees them: pixels (n, H, W, C) -> (n, h, w, C')."""
        return self._rows(None, contents, lambda i: pixels[i], threads=threads, track=track, what="of images")

    def view(
        self, images: Images, contents: Sequence[bytes], augmentation: Augmentation, number: int, *,
        threads: int, track: Track,
    ) -> NDArray[np.float16]:  # fmt: skip
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

        seen = {"augmentation": augmentation.to_json(), "number": number, **made_by()}
        return self._rows(seen, contents, pixels, threads=threads, track=track, what=f"of view {number + 1}")

    def _rows(
        self, seen: dict[str, Any] | None, contents: Sequence[bytes], pixels: Callable[[int], Pixels],
        *, threads: int, track: Track, what: str,
    ) -> NDArray[np.float16]:  # fmt: skip
        """Take what is kept, compute and keep the rest.

        Raises:
            UsageError: the rows are more than the cache may take.
            MachineError: they are more than the disk or the memory can take, or the disk gave out.
        """
        channels, height, width = self.shape
        rows = Rows(self._key(seen), (height, width, channels), np.float16)
        job = Job(
            f"activations at {self.cut}", self.preprocessing, rows, lambda p: p, row_bytes=rows.row_bytes,
            image_bytes=0, growth=0,
        )  # fmt: skip
        make_room([rows.folder])
        out, absent = rows.read(list(contents))
        gone = set(absent)
        missing = [i for i, content in enumerate(contents) if content in gone]
        check_room([job], len(contents), len(missing) * rows.row_bytes, threads)

        def compute(i: int) -> NDArray[np.float16]:
            (found,) = self.frozen.run(pixels(i)[None], [self.cut])
            return np.ascontiguousarray(np.moveaxis(found[0], 0, 2), np.float16)

        with without_its_own_threads():
            done = map_in_order(compute, missing, threads)
            told = f"activations at {self.cut} {what}"
            for i, row in track(zip(missing, done, strict=True), len(missing), told) if missing else ():
                out[i] = row
                rows.add(contents[i], row)
        rows.flush()
        return out

    def _key(self, seen: dict[str, Any] | None) -> str:
        return key_of(
            {
                "rows": "activations", "graph": self.graph_sha256, "cut": self.cut, "type": "float16",
                "preprocessing": self.preprocessing.to_json(), "decoding": decoding.rule(),
                "engine": self.frozen.engine(), "view": seen,
            }
        )  # fmt: skip
