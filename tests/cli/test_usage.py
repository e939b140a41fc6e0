"""Exit 2: what was typed cannot be done. Exit 4: it can, but not within the budget."""

import shutil
from pathlib import Path

import pytest

from .harness import Convwise, sha256


def test_a_used_output_folder_is_an_error_that_names_the_ways_out(
    convwise: Convwise, photos: Path, tmp_path: Path
) -> None:
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "letter.txt").write_text("dear")
    for more in ((), ("--overwrite",), ("--resume",)):
        found = convwise.fit(photos, "used", *more).ends(2)
        assert found.message == "output folder 'used' holds other files and no run; choose another --out"
    assert [path.name for path in (tmp_path / "used").iterdir()] == ["letter.txt"]


def test_a_finished_run_is_kept_shown_or_replaced_as_asked(
    convwise: Convwise, photos: Path, run: Path, tmp_path: Path
) -> None:
    shutil.copytree(run, tmp_path / "run")
    before = sha256(tmp_path / "run" / "run.json")
    found = convwise.fit(photos, "run").ends(2)
    assert found.message == (
        "output folder 'run' is already used; choose another --out, --resume to see its result, "
        "or --overwrite to replace it"
    )
    shown = convwise.fit(photos, "run", "--resume").ends(0)
    assert sha256(tmp_path / "run" / "run.json") == before
    assert shown.json["top1"] == convwise.fit(photos, "run", "--overwrite").ends(0).json["top1"]
    assert sha256(tmp_path / "run" / "run.json") != before


@pytest.mark.parametrize("options", [(), ("--overwrite",)], ids=["plain", "overwrite"])
def test_an_output_folder_that_is_a_file_is_an_error(
    convwise: Convwise, photos: Path, tmp_path: Path, options: tuple[str, ...]
) -> None:
    (tmp_path / "out").write_text("a file")
    assert "'out'" in convwise.fit(photos, "out", *options).ends(2).message
    assert (tmp_path / "out").read_text() == "a file"


def test_the_working_folder_itself_cannot_be_the_output_folder(
    convwise: Convwise, photos: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    Convwise(tmp_path / "empty", convwise.cache).fit(photos, ".", "--overwrite").ends_somehow(0, 2)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("fti", "photos"), "No such command 'fti'. Did you mean 'fit'?"),
        (("fit", "photos", "--jsno"), "No such option: --jsno (Possible options: --json)"),
        (("fit", "photos", "--max-mac", "1"), "No such option: --max-mac"),
        (("fit",), "Missing argument 'DATA'."),
        (("predict", "run"), "Missing argument 'PATH ...'."),
        (("fit", "photos", "--seed", "many"), "Invalid value for '--seed'"),
        (("fit", "photos", "--seed", "-1"), "seed must be at least 0 and below 2^63, got -1"),
        (("fit", "photos", "--threads", "0"), "threads must be a number above 0, got 0"),
        (("scan", "photos", "--threads", "100000"), "threads must be at most 256, got 100000"),
        (("fit", "photos", "--threads", "257"), "threads must be at most 256, got 257"),
        (("scan", "photos", "--threads", "0"), "threads must be above 0, got 0"),
        (("evaluate", "run", "photos", "--threads", "0"), "threads must be above 0, got 0"),
        (("fit", "photos", "--max-macs", "nan"), "max-macs must be a number above 0, got nan"),
        (("fit", "photos", "--max-ms", "nan"), "max-ms must be a number above 0, got nan"),
        (("fit", "photos", "--max-macs", "-5"), "max-macs must be a number above 0, got -5"),
        (
            ("fit", "photos", "--transfer", "haed"),
            "must be one of head, partial, full, auto, none, got 'haed'; did you mean 'head'?",
        ),
        (
            ("fit", "photos", "--network", "efficient_lite0"),
            "that `convwise networks` lists, got 'efficient_lite0'; did you mean 'efficientnet_lite0'",
        ),
        (
            ("fit", "photos", "--network", "lenet5", "--network", "lenet5"),
            "network must be one or more different names, got lenet5, lenet5",
        ),
        (
            ("fit", "photos", "--epochs", "3"),
            "epochs has no effect: no candidate is trained by epochs; leave it out, or add transfer 'partial'",
        ),
        (
            ("fit", "photos", "--time-limit", "3"),
            "time-limit has no effect: no candidate is trained by epochs; leave it out, or add transfer 'partial'",
        ),
        (
            ("fit", "photos", "--network", "lenet5", "--transfer", "head"),
            "transfer 'head' needs published weights, and lenet5 has none; use transfer 'none' for it",
        ),
        (
            ("predict", "run", "photos", "--csv", "rows.csv", "--json"),
            "--csv and --json exclude each other; give one of them",
        ),
        (("evaluate", "run", "photos", "--views", "11"), "views must be one of 10, flip, got '11'"),
        (
            ("evaluate", "run", "photos", "--split", "tset"),
            "split must be one of train, val, test, all, got 'tset'; did you mean 'test'?",
        ),
        (
            ("predict", "run", "photos", "--csv", "no/such/folder/rows.csv"),
            "--csv 'no/such/folder/rows.csv' cannot be written: there is no folder 'no/such/folder'",
        ),
        (
            ("scan", "photos", "--quiet", "--csv", "no/such/folder/rows.csv"),
            "--csv 'no/such/folder/rows.csv' cannot be written: there is no folder 'no/such/folder'",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else value[:9],
)  # fmt: skip
def test_a_command_line_that_cannot_be_done_is_refused_in_one_line(
    convwise: Convwise, photos: Path, run: Path, tmp_path: Path, arguments: tuple[str, ...], sentence: str
) -> None:
    (tmp_path / "photos").symlink_to(photos)
    (tmp_path / "run").symlink_to(run)
    found = convwise(*arguments).ends(2)
    assert sentence in found.message
    assert found.err.count("\n") == 1
    assert found.out == ""
    assert sorted(path.name for path in tmp_path.iterdir()) == ["photos", "run"]


def test_convwise_alone_shows_its_help(convwise: Convwise) -> None:
    found = convwise()
    assert found.code == 2
    text = found.out + found.err
    assert "\\n" not in text
    assert any(line.strip().startswith("fit ") for line in text.splitlines())


def test_a_cache_limit_that_is_no_number_is_refused(convwise: Convwise, many_photos: Path) -> None:
    found = Convwise(convwise.cwd, convwise.cache, {"CONVWISE_CACHE_GB": "plenty"}).fit(many_photos, "out").ends(2)
    assert found.message == "CONVWISE_CACHE_GB must be a number of gigabytes above 0, got 'plenty'"


def test_a_budget_that_nothing_fits_names_what_is_needed(convwise: Convwise, photos: Path, tmp_path: Path) -> None:
    found = convwise.fit(photos, "out", "--max-macs", "1").ends(4)
    assert found.message.startswith(
        "no candidate fits the budget: efficientnet_lite0 at 224 px needs 383,910,112 MACs (--max-macs 1); raise it"
    )
    assert not (tmp_path / "out").exists()
    convwise.fit(photos, "out", "--max-macs", "400e6").ends(0)  # as the sentence says


def test_a_budget_without_an_end_is_no_budget(convwise: Convwise, photos: Path) -> None:
    convwise.fit(photos, "out", "--max-macs", "inf").ends_somehow(0, 2)
