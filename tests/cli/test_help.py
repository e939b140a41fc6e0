"""All commands and options, frozen: a new one is added here on purpose."""

import re

import convwise as package

from .harness import Convwise

COMMANDS = {
    "demo": ["--out", "--quiet"],
    "scan": ["--csv", "--overwrite", "--threads", "--json", "--quiet"],
    "fit": ["--out", "--network", "--transfer", "--freeze", "--reset-from", "--rear", "--weights", "--offline",
            "--resolution", "--recipe", "--augment", "--epochs", "--time-limit", "--seed", "--split-seed", "--balance",
            "--members", "--teacher", "--threads", "--device", "--max-macs", "--max-ms", "--max-mb", "--resume",
            "--overwrite", "--json", "--quiet"],
    "evaluate": ["--views", "--with", "--split", "--threads", "--json", "--quiet"],
    "predict": ["--csv", "--overwrite", "--heatmaps", "--threads", "--json", "--quiet"],
    "networks": ["--json"],
    "cost": ["--by", "--resolution", "--channels", "--num-classes", "--argument", "--measure", "--advise", "--picture",
             "--overwrite", "--threads", "--json"],
    "conv": ["--input", "--filters", "--kernel", "--stride", "--padding", "--bottleneck", "--bias", "--json"],
    "augment": ["--out", "--network", "--recipe", "--resolution", "--seed", "--size", "--overwrite"],
    "cache": ["--clear", "--json"],
}  # fmt: skip


def test_the_commands_are_these(convwise: Convwise) -> None:
    text = convwise("--help").ends(0).out
    _, _, commands = text.partition("Commands:\n")
    assert re.findall(r"^  (\S+)  ", commands, re.MULTILINE) == list(COMMANDS)
    assert _options(text) == ["--version"]


def test_the_options_are_these_and_each_is_explained(convwise: Convwise) -> None:
    for command, options in COMMANDS.items():
        text = convwise(command, "--help").ends(0).out
        assert _options(text) == options, command
        assert convwise(command, "-h").ends(0).out == text
        for option in options:
            assert re.search(rf"{option}\b[^.]*\w\.", text), (command, option)


def test_the_version_is_the_packages(convwise: Convwise) -> None:
    assert convwise("--version").ends(0).out == f"{package.__version__}\n"


def _options(text: str) -> list[str]:
    found = re.findall(r"^  (?:-\w, )?(--[a-z-]+)", text, re.MULTILINE)
    return [option for option in found if option != "--help"]
