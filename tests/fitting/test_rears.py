"""Layers of the user's from the command to the classifier: what is refused before training, and what goes on."""

import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import safetensors.torch
import torch

import convwise
from convwise.errors import CheckpointError, UsageError
from convwise.fitting import Options, fit
from convwise.fitting.trained_candidate import TrainedCandidate
from convwise.training.checkpoint import Checkpoints
from convwise.training.state import State

MINE = """
import torch
from torch import nn

class Rear(nn.Module):
    def __init__(self, in_channels, num_classes):
        super().__init__()
        self.layer = nn.Linear(in_channels, num_classes)
        self.register_buffer("mask", torch.ones(num_classes, dtype=torch.bool))
        self.register_buffer("shift", torch.zeros(num_classes, dtype=torch.bfloat16))
        self.register_buffer("scale", torch.ones(num_classes, dtype=torch.float64))
    def forward(self, x):
        print("a word")
        x = self.layer(x.mean(dim=(2, 3)).relu())
        return x + self.shift.float()

class Unexported(Rear):
    def forward(self, x):
        return self.layer(torch.special.bessel_j0(x.mean(dim=(2, 3))).detach())

class NoNumber(Rear):
    def forward(self, x):
        return super().forward(x) * float("nan")

class Raising(Rear):
    def forward(self, x):
        assert len(x) < 5, "too many"
        return super().forward(x)
"""
OPTIONS = Options(transfer="partial", freeze="stage7", resolution=64, epochs=2, threads=1)


@pytest.fixture(autouse=True)
def mine(
    tmp_path_factory: pytest.TempPathFactory, session_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """The module, where it can be imported."""
    folder = tmp_path_factory.mktemp("mine")
    (folder / "mine_of_rears.py").write_text(MINE)
    monkeypatch.setenv("CONVWISE_CACHE", str(session_cache))
    monkeypatch.setattr(sys, "path", [*sys.path, str(folder)])
    yield folder / "mine_of_rears.py"
    sys.modules.pop("mine_of_rears", None)


def test_a_rear_with_buffers_of_other_types_that_prints_is_trained_and_kept(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Checkpoints, "due", lambda _self: True)
    run = fit(photos, replace(OPTIONS, rear="mine_of_rears:Rear"), out=tmp_path / "run")
    assert not capsys.readouterr().out
    kept = safetensors.torch.load_file(run.path / "classifier" / "weights.safetensors")
    found = {name.rpartition(".")[2]: tensor.dtype for name, tensor in kept.items() if name.startswith("head")}
    assert (found["mask"], found["shift"], found["scale"]) == (torch.bool, torch.bfloat16, torch.float64)
    assert convwise.load(run.path).to_torch()(torch.zeros(1, 3, 64, 64)).shape == (1, 3)


def test_a_rear_that_cannot_be_exported_is_refused_before_training(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TrainedCandidate, "fit", None)  # nobody comes there
    text = (
        r"^rear 'mine_of_rears:Unexported' cannot be exported to the graph that `predict` runs: [^\n]*bessel_j0[^\n]*; "
        r"write it with layers and functions of torch that ONNX has$"
    )
    with pytest.raises(UsageError, match=text):
        fit(photos, replace(OPTIONS, rear="mine_of_rears:Unexported"), out=tmp_path / "run")


def test_a_rear_that_gives_no_numbers_is_refused_for_that(photos: Path, tmp_path: Path) -> None:
    text = "rear 'mine_of_rears:NoNumber' gives logits that are no finite numbers, before anything is learnt"
    with pytest.raises(UsageError, match=f"^{re.escape(text)}$"):
        fit(photos, replace(OPTIONS, rear="mine_of_rears:NoNumber"), out=tmp_path / "run")


def test_what_a_rear_raises_in_training_is_one_line(photos: Path, tmp_path: Path) -> None:
    text = "mine_of_rears:Raising raised AssertionError: too many"
    with pytest.raises(UsageError, match=f"^{re.escape(text)}$"):
        fit(photos, replace(OPTIONS, rear="mine_of_rears:Raising"), out=tmp_path / "run")


def test_an_interrupted_training_does_not_go_on_with_another_rear(
    photos: Path, tmp_path: Path, mine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = replace(OPTIONS, rear="mine_of_rears:Rear")
    save = Checkpoints.save

    def save_and_stop(checkpoints: Checkpoints, state: State) -> None:
        save(checkpoints, state)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "due", lambda _self: True)
        patch.setattr(Checkpoints, "save", save_and_stop)
        with pytest.raises(KeyboardInterrupt):
            fit(photos, options, out=tmp_path / "run")
    del sys.modules["mine_of_rears"]
    mine.write_text(MINE.replace(".relu()", ".tanh() * 1.0"))  # no name, no shape
    with pytest.raises(CheckpointError, match="another network: the source of its rear was another; go back to that"):
        fit(photos, options, out=tmp_path / "run")
    del sys.modules["mine_of_rears"]
    mine.write_text(MINE)
    assert fit(photos, options, out=tmp_path / "run").result["n"] > 0
