"""Partial and full transfer by the command line: stopped or not, cached or not, it ends in the same weights."""

import signal
from pathlib import Path

import pytest

from .harness import Convwise, Done, checkpoint_steps, stop_when, weights_hash, write_folder
from .test_output import check_result

# some seconds, on what the frozen part makes of each image
PARTIAL = (
    "--transfer", "partial", "--freeze", "stage7", "--resolution", 64, "--threads", 1, "--recipe", "long.toml",
    "--quiet",
)  # fmt: skip
RECIPE = (
    "epochs = 120\nbatch = 8\nviews = 3\nlayer_decay = 0.5\n[augmentation]\nshift = 0.1\nrotation = 10\nerasing = 0.3\n"
)
MINE = """
from torch import nn

def rear(in_channels, num_classes):
    return nn.Sequential(
        nn.Conv2d(in_channels, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, num_classes),
    )
"""


@pytest.fixture(scope="session")
def twenty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three classes of 20 photos; nobody changes it."""
    return write_folder(tmp_path_factory.mktemp("twenty") / "photos", ("disc", "stripes", "chess"), count=20, side=64)


def steps(run: Path) -> list[int]:
    """Of the checkpoints of an unfinished run."""
    return checkpoint_steps(run, "efficientnet_lite0-partial")


def test_a_partial_training_that_is_killed_or_begins_with_a_warm_cache_ends_in_the_same_weights(
    trainer: Convwise, twenty: Path, tmp_path: Path
) -> None:
    process = trainer.start("fit", twenty, "--out", "run", *PARTIAL)
    found = stop_when(process, lambda: bool(steps(tmp_path / "run")), signal.SIGKILL)
    assert found.code == -signal.SIGKILL
    begun = steps(tmp_path / "run")[-1]
    assert 0 < begun < 120 * 6
    found = trainer("fit", twenty, "--out", "run", "--resume", *PARTIAL[:-1]).ends(0)
    assert "activations" not in found.err  # they were on disk
    trainer("fit", twenty, "--out", "warm", *PARTIAL).ends(0)
    cold = Convwise(tmp_path, tmp_path / "another cache")
    found = cold("fit", twenty, "--out", "cold", *PARTIAL[:-1]).ends(0)
    told = [line for line in found.err.splitlines() if line.startswith("activations at stage7.block1 of ")]
    assert [line.split(" (")[0].removeprefix("activations at stage7.block1 ") for line in told] == [
        "of images that choose", "of view 1", "of view 2", "of view 3",
    ]  # fmt: skip
    assert "steps of efficientnet_lite0 (120 epochs of about " in found.err
    assert weights_hash(tmp_path / "run") == weights_hash(tmp_path / "warm") == weights_hash(tmp_path / "cold")


def test_a_rear_of_ones_own_is_trained_saved_drawn_and_costed(trainer: Convwise, twenty: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(MINE)
    options = ("--transfer", "partial", "--freeze", "stage5", "--rear", "mine:rear", "--resolution", 64, "--epochs", 2)
    check_result(trainer("fit", twenty, "--out", "run", "--json", "--quiet", *options).ends(0))
    found = trainer("cost", "run", "--json").ends(0).json
    (head,) = (stage["params"] for stage in found["stages"] if stage["name"] == "head")
    assert head == 16 * 9 * 112 + 32 + 17 * 3  # stage 5 has 112 channels
    photo = next(twenty.glob("disc/*.jpg"))
    trainer("predict", "run", photo, "--heatmaps", "maps").ends(0)
    assert [path.name for path in (tmp_path / "maps").iterdir()] == [f"{photo.stem}.png"]
    (tmp_path / "elsewhere").mkdir()
    away = Convwise(tmp_path / "elsewhere", trainer.cache)
    away("predict", "../run", photo).ends(0)
    away("evaluate", "../run", twenty, "--quiet").ends(0)
    for command in (("cost", "../run"), ("predict", "../run", photo, "--heatmaps", "maps")):
        text = (
            "classifier '../run/classifier' ends in layers of its own, which torch needs and `predict` does not: "
            "builder 'mine:rear': module 'mine' cannot be imported: ModuleNotFoundError: No module named 'mine'"
        )
        assert away(*command).ends(2).message == text


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (("--transfer", "partial", "--freeze", "features"),
         ("freeze 'features' leaves the softmax layer alone to train, which is transfer 'head'; take that, or a cut up "
          "to 'stage8.block1'")),
        (("--transfer", "partial", "--freeze", "stage5", "--reset-from", "stage3"),
         ("reset-from 'stage3' lies in the frozen part, which ends at 'stage5'; random weights must be trained, so "
          "freeze less or reset from there on")),
        (("--transfer", "partial", "--rear", "mine:raising"), "mine:raising raised ValueError: no"),
        (("--transfer", "partial", "--rear", "mine:absent"),
         "builder 'mine:absent': module 'mine' has no function 'absent'"),
        (("--transfer", "full", "--rear", "mine:rear"),
         "rear has no effect with transfer 'full'; leave it out, or take transfer 'partial'"),
        (("--transfer", "partial", "--recipe", "mixed.toml"),
         ("mixup cannot be had with transfer 'partial', whose frozen part sees each image alone; leave it out of the "
          "recipe's [augmentation]")),
    ],
)  # fmt: skip
def test_what_cannot_be_had_is_one_line_before_anything_is_read(
    trainer: Convwise, tmp_path: Path, options: tuple[str, ...], text: str
) -> None:
    (tmp_path / "mine.py").write_text(f"{MINE}\ndef raising(in_channels, num_classes):\n    raise ValueError('no')\n")
    (tmp_path / "mixed.toml").write_text("epochs = 2\n[augmentation]\nmixup = 0.2\n")
    (tmp_path / "photos" / "a").mkdir(parents=True)
    (tmp_path / "photos" / "a" / "1.jpg").write_bytes(b"no image")
    (tmp_path / "photos" / "b").mkdir()
    (tmp_path / "photos" / "b" / "2.jpg").write_bytes(b"no image")
    found: Done = trainer("fit", "photos", "--out", "run", *options)
    assert found.ends(2).message == text
    assert not list(tmp_path.glob("run*"))
