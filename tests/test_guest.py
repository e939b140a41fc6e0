"""Layers of the user's: what may stand behind a cut, and what is said of what may not."""

import re
import sys
from pathlib import Path

import pytest
import torch

from convwise.errors import UsageError
from convwise.guest import build_rear, code_of

MINE = """
import torch
from torch import nn

WIDTH = 8

def rear(in_channels, num_classes):
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(), nn.Linear(in_channels, num_classes))

def talking(in_channels, num_classes):
    print("a word")
    return rear(in_channels, num_classes)

def lazy(in_channels, num_classes):
    return nn.Sequential(nn.LazyConv2d(4, 1), nn.BatchNorm2d(4), nn.Flatten(), nn.LazyLinear(num_classes))

def ten(in_channels, num_classes):
    return rear(in_channels, 10)

def maps(in_channels, num_classes):
    return nn.Conv2d(in_channels, num_classes, 1)

def pair(in_channels, num_classes):
    class Pair(nn.Module):
        def forward(self, x):
            return x, x
    return Pair()

def narrow(in_channels, num_classes):
    return rear(in_channels - 1, num_classes)

def raising(in_channels, num_classes):
    raise RuntimeError("no weights\\nhere")

def ending(in_channels, num_classes):
    raise SystemExit(3)

def number(in_channels, num_classes):
    return 3

def nothing():
    return nn.Flatten()

def fixed(in_channels, num_classes):
    class Mean(nn.Module):
        def forward(self, x):
            return x.mean(dim=(2, 3))[:, :num_classes]
    return Mean()

def frozen(in_channels, num_classes):
    return rear(in_channels, num_classes).requires_grad_(False)

class Changed(nn.Module):
    def __init__(self, in_channels, num_classes, change):
        super().__init__()
        self.rear, self.change = rear(in_channels, num_classes), change
        self.shift = torch.zeros(num_classes)
    def forward(self, x):
        return self.change(self, self.rear(x))

def loose(in_channels, num_classes):
    return Changed(in_channels, num_classes, lambda self, x: x + self.shift)

def reading(in_channels, num_classes):
    module = Changed(in_channels, num_classes, lambda self, x: x * float(x.sum().item() > 0))
    del module.shift
    return module

def other_when_training(in_channels, num_classes):
    return Changed(in_channels, num_classes, lambda self, x: (x, x) if self.training else x)

def raising_when_training(in_channels, num_classes):
    def change(self, x):
        assert not self.training, "no training"
        return x
    return Changed(in_channels, num_classes, change)

def importing(in_channels, num_classes):
    import my_parts
    return my_parts.rear(in_channels, num_classes)
"""
SHAPE = (8, 4, 5)


@pytest.fixture(autouse=True)
def mine(in_tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The module stands where the command is given; Python does not find it otherwise."""
    (in_tmp_path / "my_layers.py").write_text(MINE)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delitem(sys.modules, "my_layers", raising=False)


@pytest.mark.parametrize("name", ["rear", "talking", "lazy"])
def test_a_rear_gives_logits_and_is_left_in_its_mode(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    module = build_rear(f"my_layers:{name}", SHAPE, 3)
    assert module.training
    assert all(part.training for part in module.modules())
    assert module(torch.randn(2, *SHAPE)).shape == (2, 3)
    assert capsys.readouterr() == ("", "a word\n" if name == "talking" else "")


def test_modules_are_looked_for_here_while_a_rear_is_built_and_not_longer(
    in_tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (in_tmp_path / "my_parts.py").write_text(MINE)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry not in ("", str(in_tmp_path))])
    before = [*sys.path]
    build_rear("my_layers:importing", SHAPE, 3)
    assert sys.path == before
    assert sys.modules.pop("my_parts").__file__ == str(in_tmp_path / "my_parts.py")


def test_a_file_that_stands_here_does_not_hide_a_library(in_tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (in_tmp_path / "colorsys.py").write_text("raise RuntimeError")
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry not in ("", str(in_tmp_path))])
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)
    with pytest.raises(UsageError, match="module 'colorsys' has no function 'rear'"):
        build_rear("colorsys:rear", SHAPE, 3)


def test_trying_a_rear_changes_no_number_of_it() -> None:
    torch.manual_seed(0)
    module = build_rear("my_layers:lazy", SHAPE, 3)
    assert int(module.get_buffer("1.num_batches_tracked")) == 0
    drawn = torch.rand(1)
    torch.manual_seed(0)
    build_rear("my_layers:lazy", SHAPE, 3)
    assert torch.equal(torch.rand(1), drawn)


def test_another_source_or_another_setting_is_another_code(in_tmp_path: Path) -> None:
    module = build_rear("my_layers:rear", SHAPE, 3)
    code = code_of("my_layers:rear", module)
    assert code_of("my_layers:rear", build_rear("my_layers:rear", SHAPE, 3)) == code
    dropout = module.get_submodule("2")
    assert isinstance(dropout, torch.nn.Dropout)
    dropout.p = 0.4
    assert code_of("my_layers:rear", module) != code
    dropout.p = 0.5
    (in_tmp_path / "my_layers.py").write_text(MINE.replace("float(", "2 * float("))
    assert code_of("my_layers:rear", module) != code


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ("my_layers", "a builder must be module:function, got 'my_layers'"),
        ("no_layers:rear",
         ("builder 'no_layers:rear': module 'no_layers' cannot be imported: ModuleNotFoundError: No module named "
          "'no_layers'")),
        ("my_layers:reer", "builder 'my_layers:reer': module 'my_layers' has no function 'reer'"),
        ("my_layers:WIDTH",
         ("builder 'my_layers:WIDTH': 'WIDTH' of module 'my_layers' is not callable but of type int; it must be a "
          "function or a class that gives an nn.Module")),
        ("my_layers:nothing",
         ("builder 'my_layers:nothing' cannot be called so: got an unexpected keyword argument 'in_channels'; a rear "
          "is a function whose arguments are called so: (in_channels, num_classes) -> nn.Module")),
        ("my_layers:number", "builder 'my_layers:number' must return an nn.Module, got int"),
        ("my_layers:raising", "my_layers:raising raised RuntimeError: no weights here"),
        ("my_layers:ending",
         ("my_layers:ending called sys.exit(3), which would end convwise too; a script's own run belongs under "
          "`if __name__ == '__main__'`")),
        ("my_layers:narrow",
         "my_layers:narrow raised RuntimeError: mat1 and mat2 shapes cannot be multiplied (2x8 and 7x3)"),
        ("my_layers:ten",
         ("rear 'my_layers:ten' must give logits of shape (2, 3) for maps of shape (2, 8, 4, 5) when num_classes is 3, "
          "got (2, 10)")),
        ("my_layers:maps",
         ("rear 'my_layers:maps' must give logits of shape (2, 3) for maps of shape (2, 8, 4, 5) when num_classes is "
          "3, got (2, 3, 4, 5)")),
        ("my_layers:pair",
         ("rear 'my_layers:pair' must give logits of shape (2, 3) for maps of shape (2, 8, 4, 5) when num_classes is "
          "3, got tuple")),
        ("my_layers:other_when_training",
         ("rear 'my_layers:other_when_training' must give logits of shape (2, 3) for maps of shape (2, 8, 4, 5) when "
          "num_classes is 3, got tuple in training")),
        ("my_layers:raising_when_training", "my_layers:raising_when_training raised AssertionError: no training"),
        ("my_layers:fixed",
         "rear 'my_layers:fixed' has no parameters that could be trained; give it a layer that has some"),
        ("my_layers:frozen",
         "rear 'my_layers:frozen' has no parameters that could be trained; give it a layer that has some"),
    ],
)  # fmt: skip
def test_what_cannot_stand_behind_a_cut_is_one_line(spec: str, text: str) -> None:
    with pytest.raises(UsageError, match=f"^{re.escape(text)}$"):
        build_rear(spec, SHAPE, 3)


@pytest.mark.parametrize(
    ("name", "instead"),
    [
        ("loose", "register tensors as buffers: shift"),
        ("reading", "forward must not read the values of tensors, as .item() does: a graph cannot either"),
    ],
)
def test_a_rear_that_needs_numbers_to_be_counted_is_one_line(name: str, instead: str) -> None:
    text = rf"^rear 'my_layers:{name}' cannot run without numbers, as memory and cost are counted \(\w+: [^\n]*\); "
    with pytest.raises(UsageError, match=f"{text}{re.escape(instead)}$") as raised:
        build_rear(f"my_layers:{name}", SHAPE, 3)
    assert "device='cpu'" not in str(raised.value)
