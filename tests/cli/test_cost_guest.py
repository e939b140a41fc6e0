"""`convwise cost` of a module of the user's, whatever that does."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from convwise.cli.cost import cost
from convwise.errors import ConvwiseError, MachineError, UsageError

from .harness import Convwise

MINE = """
from torch import nn

def small():
    pool = nn.AdaptiveAvgPool2d(1)
    return nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), pool, nn.Flatten(), nn.Linear(8, 2))

def count():
    return 3

def raising():
    raise KeyError("weights")

def hungry():
    raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")

def famished():
    raise MemoryError

def lazy():
    return nn.LazyLinear(3)

def wide(width, *, num_classes=5):
    pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return nn.Sequential(nn.Conv2d(3, width, 1), nn.Conv2d(width, width, 1), pool, nn.Linear(width, num_classes))

class Chatty(nn.Module):
    def __init__(self):
        super().__init__()
        print("a word when built")
        self.conv = nn.Conv2d(3, 4, 1)
    def forward(self, x):
        print("a word when run")
        return self.conv(x)

class Ending(nn.Module):
    def forward(self, x):
        raise SystemExit(9)

class Pair(nn.Module):
    def forward(self, x):
        return x, x

class Values(nn.Module):
    def forward(self, x):
        return x.flatten(1)[:, : 2 + int(x.sum().item())]

class Nothing(nn.Module):
    def forward(self, x):
        x + 1

class Reading(nn.Module):
    def forward(self, x):
        return x + len(open("no such file").read())

class Misspelt(nn.Module):
    def forward(self, x):
        return x.nope

class Odd(Exception):
    pass

class Strange(nn.Module):
    def forward(self, x):
        raise Odd("one line,\\nand more")

class Narrow(nn.Module):
    def forward(self, x):
        print("run")
        return x + x[:, :, 1:]

built = nn.ReLU()
"""
SMALL = 8  # pixels

Ask = Callable[..., str]


@pytest.fixture
def refusal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Ask:
    """Asks for the cost of one of the above, which must be refused in one line, with nothing else printed."""
    (tmp_path / "mine.py").write_text(MINE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)

    def ask(name: str, *, kind: type[ConvwiseError] = UsageError, said: str = "", **options: Any) -> str:
        monkeypatch.delitem(sys.modules, "mine", raising=False)
        with pytest.raises(kind) as caught:
            cost(f"mine:{name}", **({"resolution": SMALL} | options))
        assert capfd.readouterr() == ("", said)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    return ask


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("raising", "mine:raising raised KeyError: 'weights'"),
        ("Misspelt", "mine:Misspelt raised AttributeError: 'Tensor' object has no attribute 'nope'"),
        ("Strange", "mine:Strange raised Odd: one line, and more"),
        ("Reading", "mine:Reading raised FileNotFoundError: [Errno 2] No such file or directory: 'no such file'"),
        ("built", "builder 'mine:built' must be a function or a class that gives an nn.Module, got one itself"),
        ("count", "builder 'mine:count' must return an nn.Module, got int"),
    ],
)
def test_whatever_a_module_of_the_users_raises_is_one_line(refusal: Ask, name: str, words: str) -> None:
    assert refusal(name) == words


def test_a_lack_of_memory_is_not_the_modules_fault(convwise: Convwise) -> None:
    (convwise.cwd / "mine.py").write_text(MINE)
    for name in ("hungry", "famished"):
        assert "not enough memory" in convwise("cost", f"mine:{name}").ends(6).message


def test_what_cannot_be_measured_says_why_and_torchs_exporter_says_nothing(refusal: Ask) -> None:
    values = "it must see the values of tensors, which the making of a graph does not have; leave --measure out"
    assert refusal("Values", measure=True) == f"mine:Values cannot be measured: {values}"
    wanted = "it must take float32 (B, C, H, W), give one tensor, and export to ONNX"
    for name, kind in (("Pair", "tuple"), ("Nothing", "NoneType")):
        reason = f"AttributeError: {kind!r} object has no attribute 'numpy'"
        assert refusal(name, measure=True) == f"mine:{name} cannot be measured: {wanted}; {reason}"


def test_a_refused_measurement_leaves_no_picture(refusal: Ask, tmp_path: Path) -> None:
    for name in ("Pair", "Values"):
        assert "cannot be measured" in refusal(name, measure=True, picture=Path("p.svg"))
    assert not list(tmp_path.glob("*.svg"))


def test_a_picture_that_cannot_be_is_refused_before_the_module_is_built(refusal: Ask) -> None:
    Path("there.svg").write_text("important")
    assert "exists already" in refusal("Chatty", picture=Path("there.svg"))
    assert "there is no folder" in refusal("Chatty", picture=Path("no/such.svg"))


def test_only_a_module_that_needs_values_is_run_on_zeros_and_only_where_they_fit(refusal: Ask) -> None:
    assert "cannot pass Narrow" in refusal("Narrow", said="run\n")
    message = refusal("Values", kind=MachineError, resolution=10**6)
    assert message.startswith("running mine:Values on zeros needs about 48.0 TB of memory, and there are ")
    assert message.endswith("; lower --resolution")


def test_cost_of_a_module_of_the_users(convwise: Convwise) -> None:
    (convwise.cwd / "mine.py").write_text(MINE)
    found = convwise("cost", "mine:small", "--resolution", "10", "--json").ends(0).json
    assert (found["params"], found["macs"]) == (8 * 28 + 18, 10 * 10 * 8 * 27 + 16)
    assert convwise("cost", "mine:raising").ends(2).message == "mine:raising raised KeyError: 'weights'"
    assert "lazy layers have no shapes yet" in convwise("cost", "mine:lazy").ends(2).message
    seen = convwise("cost", "mine:Values", "--channels", "1", "--resolution", "4", "--json").ends(0).json
    assert (seen["input_shape"], seen["params"]) == ([1, 4, 4], 0)
    (convwise.cwd / "broken.py").write_text("def build(:")
    message = convwise("cost", "broken:build").ends(2).message
    assert "module 'broken' cannot be imported: SyntaxError" in message


def test_a_module_of_the_users_takes_arguments_and_is_drawn(convwise: Convwise) -> None:
    (convwise.cwd / "mine.py").write_text(MINE)
    command = ("cost", "mine:wide", "--argument", "width=16", "--num-classes", "3", "--resolution", "4")
    found = convwise(*command, "--picture", "w.svg", "--json").ends(0).json
    assert found["params"] == (3 + 1) * 16 + (16 + 1) * 16 + (16 + 1) * 3
    assert (found["arguments"], found["num_classes"]) == ({"width": 16}, 3)
    svg = (convwise.cwd / "w.svg").read_text()
    assert "mine:wide, width=16, 3 classes" in svg
    assert "4\u00d74\u00d716" in svg


def test_what_a_module_prints_does_not_mix_with_the_result_and_it_cannot_end_the_command(convwise: Convwise) -> None:
    (convwise.cwd / "mine.py").write_text(MINE)
    done = convwise("cost", "mine:Chatty", "--json", "--resolution", "8").ends(0)
    assert done.json["params"] == 16
    assert done.err.splitlines() == ["a word when built", "a word when run"]
    said = convwise("cost", "mine:Ending").ends(2).message
    assert said.startswith("mine:Ending called sys.exit(9), which would end convwise too; ")
