"""How much memory there is, and how it is told."""

import os
import re
import sys
from pathlib import Path

import pytest

from convwise import machine
from convwise.machine import has_memory, in_bytes, machine_memory, too_little_memory

V1 = "9:name=systemd:/\n4:memory:/outer/inner\n3:cpu:/\n"
V2 = "0::/outer/inner\n"


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (47_040, "47.0 kB"), (999_949, "999.9 kB"), (999_950, "1.0 MB"),
     (72_000_000_000, "72.0 GB"), (1_800_000_000_000, "1.8 TB"), (8 * 10**20, "800,000.0 PB")],
)  # fmt: skip
def test_bytes_have_a_unit_that_can_be_read(count: int, text: str) -> None:
    assert in_bytes(count) == text


@pytest.mark.parametrize(
    ("groups", "limits", "expected"),
    [
        (V1, {"memory/memory.limit_in_bytes": "9", "memory/outer/memory.limit_in_bytes": "5"}, [5, 9]),
        (V1, {"memory/outer/inner/memory.limit_in_bytes": "3", "memory.max": "1"}, [3]),
        (V2, {"outer/inner/memory.max": "max", "outer/memory.max": "7", "memory.max": "8"}, [7, 8]),
        (V2, {}, []),
    ],
)
def test_a_limit_holds_for_all_groups_below_it(
    tmp_path: Path, groups: str, limits: dict[str, str], expected: list[int]
) -> None:
    (tmp_path / "memory.max").write_text("0")  # above the tree
    (tmp_path / "groups").write_text(groups)
    for name, text in limits.items():
        (tmp_path / "tree" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "tree" / name).write_text(f"{text}\n")
    assert list(machine._of_control_groups(tmp_path / "groups", tmp_path / "tree")) == expected


def test_a_machine_without_control_groups_has_none(tmp_path: Path) -> None:
    assert list(machine._of_control_groups(tmp_path / "none", tmp_path)) == []


@pytest.mark.skipif(sys.platform == "win32", reason="has no such limit")
def test_the_smallest_limit_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    import resource

    built_in = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    found = machine_memory()
    assert found is not None
    assert 0 < found <= built_in
    monkeypatch.setattr(resource, "getrlimit", lambda _: (123, 456))
    assert machine_memory() == 123
    assert has_memory(123)
    assert not has_memory(124)


def test_where_nobody_knows_all_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sysconf")
    monkeypatch.setattr(machine, "_of_control_groups", lambda: iter(()))
    monkeypatch.setattr(machine, "_of_process", lambda: iter(()))
    assert machine_memory() is None
    assert has_memory(10**30)


def test_the_refusal_says_how_much_is_needed_and_how_much_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "machine_memory", lambda: 25_300_000_000)
    text = "training x needs about 51.9 GB of memory, and there are 25.3 GB; --resolution 500 would fit"
    error = too_little_memory("training x", 51_900_000_000, "--resolution 500 would fit")
    assert re.fullmatch(re.escape(text), str(error))
    assert error.exit_code == 6
