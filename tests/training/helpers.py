"""What the tests of training share: small images, a way to train on them, and a hash of what came out."""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from convwise import networks
from convwise.data.preprocessing import Preprocessing
from convwise.progress import Track
from convwise.training.batches import Augmented, Images, InMemory
from convwise.training.checkpoint import Checkpoints, identity
from convwise.training.loop import Trained, train
from convwise.training.recipe import Recipe
from convwise.training.state import Setting

T = TypeVar("T")
GREY = Preprocessing(channels=1, resolution=28, crop=1.0, mean=(127.5,), std=(127.5,))
COLOUR = Preprocessing(channels=3, resolution=32, crop=1.0, mean=(127.5,) * 3, std=(127.5,) * 3)


def quiet(items: Iterable[T], total: int, what: str) -> Iterable[T]:
    assert total >= 0
    assert what == "steps"
    return items


def stop_after(steps: int) -> Track:
    """Ctrl-C after so many steps of this process."""

    class Stop:
        def __call__(self, items: Iterable[T], total: int, what: str) -> Iterable[T]:  # noqa: ARG002
            for done, item in enumerate(items, 1):
                yield item
                if done == steps:
                    raise KeyboardInterrupt

    return Stop()


def noise(n: int, num_classes: int, seed: int = 0, preprocessing: Preprocessing = GREY) -> Images:
    """Images of noise: what they are can only be learnt by heart."""
    rng = np.random.default_rng(seed)
    pixels = torch.from_numpy(rng.integers(0, 256, (n, *preprocessing.shape), np.uint8))
    return Images(pixels, torch.arange(n) % num_classes, torch.ones(n))


def fingerprint(*tensors: Tensor) -> str:
    """Hash of numbers, such as images and their labels."""
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(repr(tensor.shape).encode())
        digest.update(tensor.contiguous().numpy().data)
    return digest.hexdigest()


def builder(
    network: str = "lenet5", num_classes: int = 4, arguments: Mapping[str, object] | None = None
) -> Callable[[], nn.Module]:
    return lambda: networks.create(network, num_classes, arguments)


def go(
    recipe: Recipe, fit: Images, choose: Images | None = None, build: Callable[[], nn.Module] | None = None,
    *, setting: Setting | None = None, folder: Path | None = None, track: Track = quiet,
    preprocessing: Preprocessing = GREY, threads: int | None = None,
) -> Trained:  # fmt: skip
    """Train; with a folder, a checkpoint is written after every step; with threads, they augment."""
    setting, choose = setting or Setting(1), choose or fit
    checkpoints = None
    if folder is not None:
        checkpoints = Checkpoints(folder, recipe, identity(recipe, setting, fingerprint(*fit, *choose)))
        checkpoints.due = lambda: True  # type: ignore[method-assign]
    plain = InMemory(fit, recipe.batch, recipe.seed)
    return train(
        build or builder(), recipe, setting, preprocessing,
        fit=plain if threads is None else augmented(recipe, fit, threads, preprocessing),
        choose=choose, track=track, checkpoints=checkpoints,
    )  # fmt: skip


def augmented(recipe: Recipe, fit: Images, threads: int = 1, preprocessing: Preprocessing = GREY) -> Augmented:
    """Images of as many classes as there are, as they are fed to training when a recipe changes them."""
    return Augmented(
        list(fit.pixels.numpy()), fit.labels, fit.weights, recipe=recipe, preprocessing=preprocessing,
        num_classes=int(fit.labels.max()) + 1, threads=threads,
    )  # fmt: skip


def bits(trained: Trained) -> str:
    """Hash of all weights and statistics."""
    state = trained.network.state_dict()
    return hashlib.sha256(b"".join(t.contiguous().numpy().tobytes() for t in state.values())).hexdigest()


def figures(trained: Trained) -> list[tuple[Any, ...]]:
    """The history without what was measured by the clock."""
    return [row[:5] for row in trained.history]


class Fixed(nn.Module):
    """The logits that it is given, whatever it sees."""

    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.logits = logits

    def forward(self, _pixels: Tensor) -> Tensor:
        return self.logits
