"""Training that is interrupted at any step goes on to the same bits."""

import io
import os
import random
import re
import signal
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

import cv2
import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn

from convwise.data.augmentation import Augmentation
from convwise.errors import CheckpointError, MachineError
from convwise.training import checkpoint, stand_ins
from convwise.training.checkpoint import Checkpoints, identity
from convwise.training.recipe import Recipe
from convwise.training.state import Setting, State
from convwise.training.state_file import TYPES

from .helpers import COLOUR, GREY, bits, builder, figures, fingerprint, go, noise, quiet, stop_after

CASES: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "sgd": ("lenet5", {}, {}),
    "adamw, average, clipping": (
        "lenet5", {"optimizer": "adamw", "lr": 1e-3, "ema": 0.99, "clip": 1.0, "schedule": "cosine"}, {},
    ),
    "rmsprop": ("lenet5", {"optimizer": "rmsprop", "lr": 1e-3}, {}),
    "batch norm": ("resnet20", {}, {}),
    "bfloat16, pieces, average": ("resnet20", {"accumulate": 3, "ema": 0.9}, {"precision": "bfloat16"}),
    "bfloat16, depthwise": ("mobilenet_v2", {"ema": 0.9}, {"precision": "bfloat16"}),
    "channels first": ("resnet20", {}, {"channels_last": False}),
    "dropout, stochastic depth": ("efficientnet_lite0", {"optimizer": "rmsprop", "lr": 1e-3}, {}),
    "auxiliary heads, response norm": ("googlenet", {"lr": 1e-3}, {}),
}  # fmt: skip
ARGUMENTS = {"googlenet": {"aux": True}}


def train(case: str, folder: Path | None = None, stop: int | None = None) -> Any:
    network, recipe, setting = CASES[case]
    preprocessing = GREY if network == "lenet5" else COLOUR
    images = noise(24, 4, preprocessing=preprocessing)
    return go(
        Recipe(**{"epochs": 3, "batch": 8, **recipe}), images,
        build=builder(network, arguments=ARGUMENTS.get(network)), setting=Setting(1, **setting),
        folder=folder, preprocessing=preprocessing, track=quiet if stop is None else stop_after(stop),
    )  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_training_that_is_interrupted_again_and_again_ends_in_the_same_bits(case: str, tmp_path: Path) -> None:
    whole = train(case)
    for stop in (1, 2, 1, 3, 2):  # of 9 steps: at 1, 3 and 4, 7 and 9, so in epochs, between them and at the end
        with pytest.raises(KeyboardInterrupt):
            train(case, tmp_path, stop)
    resumed = train(case, tmp_path)
    assert bits(resumed) == bits(whole)
    assert figures(resumed) == figures(whole)
    again = train(case, tmp_path)  # nothing is left to do
    assert bits(again) == bits(whole)
    assert [row.seconds for row in again.history] == [row.seconds for row in resumed.history]


def test_a_training_with_two_threads_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    images, recipe, setting = noise(40, 4, preprocessing=COLOUR), Recipe(epochs=2, batch=8), Setting(2)
    with pytest.raises(KeyboardInterrupt):
        go(recipe, images, build=builder("resnet20"), setting=setting, folder=tmp_path, preprocessing=COLOUR,
           track=stop_after(3))  # fmt: skip
    resumed = go(recipe, images, build=builder("resnet20"), setting=setting, folder=tmp_path, preprocessing=COLOUR)
    whole = go(recipe, images, build=builder("resnet20"), setting=setting, preprocessing=COLOUR)
    assert bits(resumed) == bits(whole)


CHILD = """
import sys
from pathlib import Path
from helpers import bits, go, noise
from convwise.training.recipe import Recipe
print(bits(go(Recipe(epochs=4, batch=4, ema=0.9), noise(48, 4), folder=Path(sys.argv[1]))))
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no such signal")
def test_kill_at_random_moments_changes_no_bit(tmp_path: Path) -> None:
    expected = bits(go(Recipe(epochs=4, batch=4, ema=0.9), noise(48, 4)))
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
    command = [sys.executable, "-c", CHILD, str(tmp_path / "kept")]
    draw = random.Random(4)
    target = 0
    while target < 40:  # of 48 steps
        target += draw.randint(10, 20)
        process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE)
        while process.poll() is None and newest(tmp_path / "kept") < target:
            time.sleep(0.002)
        process.kill()
        process.communicate()
    assert newest(tmp_path / "kept") >= 40
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    assert done.stdout.strip() == expected


def newest(folder: Path) -> int:
    """Step of the newest checkpoint."""
    return max((int(path.name[:10]) for path in folder.glob("[0-9]*")), default=0)


def stopped(folder: Path, recipe: Recipe | None = None, stop: int = 3) -> None:
    with pytest.raises(KeyboardInterrupt):
        go(recipe or Recipe(epochs=2, batch=4), noise(16, 4), folder=folder, track=stop_after(stop))


def test_the_last_two_are_kept(tmp_path: Path) -> None:
    stopped(tmp_path)
    assert sorted(path.name[:10] for path in tmp_path.iterdir()) == ["0000000002", "0000000003"]


def test_one_is_kept_of_a_training_that_is_over_and_a_repeat_ends_in_the_same_bits(tmp_path: Path) -> None:
    recipe, images = Recipe(epochs=2, batch=4), noise(16, 4)
    whole = go(recipe, images, folder=tmp_path)
    assert [path.name[:17] for path in tmp_path.iterdir()] == ["0000000008.000002"]
    again = go(recipe, images, folder=tmp_path)
    assert (bits(again), figures(again)) == (bits(whole), figures(whole))
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("place", [0, 9, 2000, -1])
def test_a_byte_that_changed_is_noticed_and_the_older_one_serves(tmp_path: Path, place: int) -> None:
    stopped(tmp_path)
    change(sorted(tmp_path.iterdir())[-1], place)
    resumed = go(Recipe(epochs=2, batch=4), noise(16, 4), folder=tmp_path)
    assert resumed.notes == ("the newest checkpoint was damaged; training went on from step 2",)
    assert bits(resumed) == bits(go(Recipe(epochs=2, batch=4), noise(16, 4)))


def test_a_damaged_checkpoint_goes_when_the_older_one_has_served(tmp_path: Path) -> None:
    stopped(tmp_path)
    older, newest = sorted(tmp_path.iterdir())
    change(newest, 500)
    other = Recipe(epochs=2, batch=4, lr=0.01)
    with pytest.raises(CheckpointError, match="is of a training with another recipe"):
        go(other, noise(16, 4), folder=tmp_path)
    assert sorted(tmp_path.iterdir()) == [older, newest]  # it has served nobody
    recipe = Recipe(epochs=2, batch=4)
    kept = Checkpoints(tmp_path, recipe, identity(recipe, Setting(1), fingerprint(*noise(16, 4), *noise(16, 4))))
    assert kept.restore(State.begin(builder()(), recipe, Setting(1)))
    assert list(tmp_path.iterdir()) == [older]
    assert kept.restore(State.begin(builder()(), recipe, Setting(1))) == ()


def test_a_file_that_was_cut_short_is_noticed(tmp_path: Path) -> None:
    stopped(tmp_path)
    newest = sorted(tmp_path.iterdir())[-1]
    newest.write_bytes(newest.read_bytes()[:-100])
    assert go(Recipe(epochs=2, batch=4), noise(16, 4), folder=tmp_path).notes


def test_two_damaged_checkpoints_are_an_error_and_stay(tmp_path: Path) -> None:
    stopped(tmp_path)
    for path in tmp_path.iterdir():
        change(path, 500)
    text = (
        f"checkpoint 0000000003 in {str(tmp_path)!r} is damaged, its bytes have another hash than its name, and there "
        "is no older one; delete that folder to train from the start"
    )
    with pytest.raises(CheckpointError, match=f"^{re.escape(text)}$"):
        go(Recipe(epochs=2, batch=4), noise(16, 4), folder=tmp_path)
    assert len(list(tmp_path.iterdir())) == 2


def change(path: Path, place: int) -> None:
    blob = bytearray(path.read_bytes())
    blob[place] ^= 1
    path.write_bytes(blob)


def test_a_checkpoint_whose_gradients_other_kernels_made_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as before:
        before.setattr("convwise.training.checkpoint.KERNELS", stand_ins.KERNELS - 1)
        stopped(tmp_path)
    text = (
        f"checkpoint 0000000003 in {str(tmp_path)!r} is of a training with other gradients: another version of "
        "convwise began it; go back to that, or delete the folder to train from the start"
    )
    with pytest.raises(CheckpointError, match=f"^{re.escape(text)}$"):
        go(Recipe(epochs=2, batch=4), noise(16, 4), folder=tmp_path)


@pytest.mark.parametrize(
    ("recipe", "setting", "seed", "told"),
    [
        (Recipe(epochs=2, batch=4, lr=0.01), Setting(1), 0, "another recipe: lr 0.02, now 0.01"),
        (Recipe(epochs=2, batch=4), Setting(2), 0, "threads 1, now 2"),
        (Recipe(epochs=2, batch=4), Setting(1, "bfloat16"), 0, "precision 'float32', now 'bfloat16'"),
        (Recipe(epochs=2, batch=4), Setting(1), 1, "other images, or other labels"),
    ],
)
def test_a_checkpoint_of_another_training_is_refused(
    tmp_path: Path, recipe: Recipe, setting: Setting, seed: int, told: str
) -> None:
    stopped(tmp_path)
    text = (
        f"checkpoint 0000000003 in {str(tmp_path)!r} is of a training with {told}; go back to that, or delete the "
        "folder to train from the start"
    )
    with pytest.raises(CheckpointError, match=f"^{re.escape(text)}$"):
        go(recipe, noise(16, 4, seed), folder=tmp_path, setting=setting)


def test_a_checkpoint_of_another_torch_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stopped(tmp_path)
    now = torch.__version__
    monkeypatch.setattr(torch, "__version__", "99.0.0")
    with pytest.raises(CheckpointError, match=rf"with torch '{re.escape(now)}', now '99\.0\.0'; go back to that"):
        go(Recipe(epochs=2, batch=4), noise(16, 4), folder=tmp_path)


@pytest.mark.parametrize(("library", "name"), [(cv2, "opencv"), (np, "numpy")])
def test_what_changed_the_images_must_be_the_same_where_they_are_changed(
    tmp_path: Path, library: ModuleType, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, mirrored = Recipe(epochs=2, batch=4), Recipe(epochs=2, batch=4, augmentation=Augmentation(mirror=0.5))
    for recipe in (plain, mirrored):
        with pytest.raises(KeyboardInterrupt):
            go(recipe, noise(16, 4), folder=tmp_path / str(recipe.augmentation.mirror), track=stop_after(3), threads=1)
    now = library.__version__
    monkeypatch.setattr(library, "__version__", "99.0.0")
    go(plain, noise(16, 4), folder=tmp_path / "0.0", threads=1)
    with pytest.raises(CheckpointError, match=rf"with {name} '{re.escape(now)}', now '99\.0\.0'; go back to that"):
        go(mirrored, noise(16, 4), folder=tmp_path / "0.5", threads=1)


def test_a_disk_that_gives_out_keeps_the_checkpoint_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stopped(tmp_path)
    before = sorted(tmp_path.iterdir())

    def full(_path: Path) -> NoReturn:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "aside", full)
        text = (
            f"a checkpoint could not be written in {str(tmp_path)!r}: No space left on device; the one before it is "
            "kept. Free some space, and repeat the command"
        )
        with pytest.raises(MachineError, match=f"^{re.escape(text)}$"):
            go(Recipe(epochs=2, batch=4), noise(16, 4), folder=tmp_path)
    assert sorted(tmp_path.iterdir()) == before
    resumed = go(Recipe(epochs=2, batch=4), noise(16, 4), folder=tmp_path)
    assert bits(resumed) == bits(go(Recipe(epochs=2, batch=4), noise(16, 4)))


def test_a_checkpoint_is_a_safetensors_file_written_and_read_without_a_copy_of_all(tmp_path: Path) -> None:
    recipe, setting = Recipe(optimizer="adamw"), Setting(1)
    state = State.begin(nn.Sequential(nn.Conv2d(64, 512, 9), nn.BatchNorm2d(512)), recipe, setting)
    state.best = {name: tensor.clone() for name, tensor in state.network.state_dict().items()}
    kept = Checkpoints(tmp_path, recipe, identity(recipe, setting, "x"))
    weights = 4 * 64 * 512 * 81  # bytes, beside which all else is small
    tracemalloc.start()
    kept.save(state)
    kept.restore(state)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < weights / 4
    [file] = tmp_path.iterdir()
    assert 2 * weights < file.stat().st_size < 2.01 * weights
    read = safetensors.torch.load_file(file)
    for part in ("network", "best"):
        assert all(torch.equal(read[f"{part}.{name}"], tensor) for name, tensor in state.best.items())


def test_saving_takes_a_small_share_of_the_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    recipe = Recipe()
    kept = Checkpoints(tmp_path, recipe, identity(recipe, Setting(1), "x"))
    assert not kept.due()
    clock[0] += 1.5  # longer than the shortest pause, one second
    assert kept.due()

    def slow(_path: Path) -> io.BytesIO:
        clock[0] += 0.5
        return io.BytesIO()

    monkeypatch.setattr(checkpoint, "aside", slow)
    kept.save(State.begin(builder()(), recipe, Setting(1)))
    clock[0] += 24.0  # half a second is 2 % of 25
    assert not kept.due()
    clock[0] += 2.0
    assert kept.due()


def test_a_time_limit_counts_what_was_trained_before(tmp_path: Path) -> None:
    recipe = Recipe(epochs=2, batch=4, time_limit=1e9)
    stopped(tmp_path, recipe)
    state = State.begin(builder()(), recipe, Setting(1))
    same = identity(recipe, Setting(1), fingerprint(*noise(16, 4), *noise(16, 4)))
    state.started += 1e6
    Checkpoints(tmp_path, recipe, same).restore(state)
    assert 0 < state.seconds < 60
    assert state.step == 3


@pytest.mark.parametrize("kept", list(TYPES))
def test_a_buffer_of_any_type_comes_back(tmp_path: Path, kept: torch.dtype) -> None:
    recipe, setting = Recipe(epochs=2, batch=4), Setting(1)
    network = nn.Sequential(nn.Linear(2, 3))
    network.register_buffer("kept", torch.tensor([[1, 0, 1]]).to(kept))
    kept_in = Checkpoints(tmp_path, recipe, identity(recipe, setting, "x"))
    state = State.begin(network, recipe, setting)
    state.best = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    kept_in.save(state)
    network.kept = torch.zeros(1, 3, dtype=kept)
    state.best = {}
    kept_in.restore(state)
    for found in (network.kept, state.best["kept"]):
        assert found.dtype == kept
        assert found.to(torch.float64 if not kept.is_complex else kept).tolist() == [[1, 0, 1]]


@pytest.mark.parametrize("change", ["name", "shape", "type"])
def test_a_checkpoint_of_another_network_is_refused(tmp_path: Path, change: str) -> None:
    recipe, setting = Recipe(epochs=2, batch=4), Setting(1)
    kept = Checkpoints(tmp_path, recipe, identity(recipe, setting, "x"))
    kept.save(State.begin(nn.Sequential(nn.Linear(2, 3)), recipe, setting))
    other = {
        "name": nn.Sequential(nn.ReLU(), nn.Linear(2, 3)),
        "shape": nn.Sequential(nn.Linear(2, 4)),
        "type": nn.Sequential(nn.Linear(2, 3).double()),
    }[change]
    text = (
        f"checkpoint 0000000000 in {str(tmp_path)!r} is of a training with another network; go back to that, or delete "
        "the folder to train from the start"
    )
    with pytest.raises(CheckpointError, match=f"^{re.escape(text)}$"):
        kept.restore(State.begin(other, recipe, setting))


def test_a_checkpoint_of_a_rear_with_other_code_is_refused(tmp_path: Path) -> None:
    recipe, setting = Recipe(epochs=2, batch=4), Setting(1)
    state = State.begin(builder()(), recipe, setting)
    Checkpoints(tmp_path, recipe, identity(recipe, setting, "x", "one")).save(state)
    text = "is of a training with another network: the source of its rear was another; go back to that, or delete"
    with pytest.raises(CheckpointError, match=text):
        Checkpoints(tmp_path, recipe, identity(recipe, setting, "x", "two")).restore(state)
