"""Members by the command line: killed in one, priced by `fit` and `evaluate`, left out beside others."""

import signal
from pathlib import Path

import pytest

from .harness import Convwise, sha256, stop_when, weights_hash, write_folder
from .test_output import check_result

MEMBERS = ("--network", "lenet5", "--threads", 1, "--recipe", "some.toml", "--members", 3)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where photos, a recipe and a run of three members are; nobody changes them."""
    place = tmp_path_factory.mktemp("members")
    write_folder(place / "photos", ("disc", "stripes", "chess"), count=40, side=32)
    (place / "some.toml").write_text("epochs = 30\nbatch = 4\nlr = 0.002\n")
    found = Convwise(place, place / "cache")("fit", "photos", "--out", "whole", *MEMBERS, "--quiet").ends(0)
    (line,) = (line for line in found.out.splitlines() if line.startswith("  members  "))
    assert line.startswith("  members  3 seeds averaged: ")
    assert "worth it" in line
    return place


def hashes(run: Path) -> list[str]:
    return [weights_hash(run), *(sha256(run / "members" / name / "weights.safetensors") for name in ("2", "3"))]


def test_a_run_that_is_killed_in_a_member_ends_in_the_same_weights(folder: Path) -> None:
    convwise, part = Convwise(folder, folder / "cache"), folder / "killed.partial"
    process = convwise.start("fit", "photos", "--out", "killed", *MEMBERS)
    stop_when(process, lambda: any(part.glob("checkpoints/lenet5-member2/*.safetensors")), signal.SIGKILL)
    assert not (folder / "killed").exists()
    convwise("fit", "photos", "--out", "killed", *MEMBERS, "--quiet").ends(0)
    assert hashes(folder / "killed") == hashes(folder / "whole")


def test_evaluate_prices_the_members_of_a_run(folder: Path) -> None:
    convwise = Convwise(folder, folder / "cache")
    text = convwise("evaluate", "whole", "photos", "--quiet").ends(0).out
    assert "  members            3 in this run, each alone and averaged below; it predicts with A\n" in text
    assert "  B  whole/members/2\n  C  whole/members/3\n" in text
    assert "  A + B + C: " in text
    record = check_result(convwise("evaluate", "whole", "photos", "--json", "--quiet"))
    assert [row["times_macs"] for row in record["rows"]] == [1, 1, 1, 2, 3]
    alone = convwise("evaluate", "whole/classifier", "photos", "--quiet").ends(0).out
    assert "members" not in alone
    assert "A + B" not in alone


def test_other_classifiers_take_the_place_of_the_members(folder: Path) -> None:
    convwise = Convwise(folder, folder / "cache")
    options = ("--with", "whole/members/3", "--quiet")
    text = convwise("evaluate", "whole", "photos", *options).ends(0).out
    assert "  members            2 others in this run, left out beside --with\n" in text
    assert "  A  whole\n  B  whole/members/3\n" in text
    record = check_result(convwise("evaluate", "whole", "photos", *options, "--json"))
    assert [row["name"] for row in record["rows"]] == ["whole", "whole/members/3", "whole + whole/members/3"]
