"""`convwise predict`: one row for each input, in order, errors in place."""

import csv
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from convwise.cli.files import check_table, open_table
from convwise.errors import UsageError

from .harness import Convwise, in_child

COLUMNS = ["path", "label", "prob", "probs", "error"]


def test_each_input_gives_one_row_in_order_with_errors_in_place(
    convwise: Convwise, run: Path, photos: Path, tmp_path: Path
) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"junk")
    (tmp_path / "empty").mkdir()
    stripes, disc = photos / "stripes" / "2.jpg", photos / "disc" / "7.jpg"
    inputs = [stripes, "absent.jpg", disc, "broken.jpg", "empty", stripes]
    rows = convwise("predict", run, *inputs, "--json").ends(0).json["predictions"]
    assert [list(row) for row in rows] == [COLUMNS] * 6
    assert [row["path"] for row in rows] == list(map(str, inputs))
    assert [row["label"] for row in rows] == ["stripes", None, "disc", None, None, "stripes"]
    assert rows[1]["error"] == "cannot be read: No such file or directory"
    assert rows[3]["error"] == "not an image that can be read (4 bytes)"
    assert rows[4]["error"]
    assert rows[0] == rows[5]
    assert rows[0]["error"] is None
    assert rows[0]["prob"] == pytest.approx(rows[0]["probs"]["stripes"], abs=1e-5)
    assert sum(rows[0]["probs"].values()) == pytest.approx(1, abs=1e-4)


def test_a_folder_stands_for_its_images_in_natural_order(
    convwise: Convwise, run: Path, photos: Path, tmp_path: Path
) -> None:
    shutil.copytree(photos, tmp_path / "data")
    (tmp_path / "data" / "disc" / "notes.txt").write_text("notes")
    (tmp_path / "data" / "disc" / ".hidden.jpg").write_bytes(b"junk")
    (tmp_path / "data" / "disc" / "2.jpg").rename(tmp_path / "data" / "disc" / "10.jpg")
    convwise("predict", run, "data", "--csv", "rows.csv").ends(0)
    with (tmp_path / "rows.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == COLUMNS
    discs = [os.path.join("data", "disc", f"{n}.jpg") for n in (0, 1, 3, 4, 5, 6, 7, 8, 9, 10)]
    assert [row["path"] for row in rows[:10]] == discs
    assert [row["label"] for row in rows] == ["disc"] * 10 + ["stripes"] * 10
    assert not any(row["error"] for row in rows)


@pytest.mark.parametrize("command", ["predict RUN PHOTOS", "scan PHOTOS"])
def test_a_table_that_is_there_is_replaced_when_asked(
    convwise: Convwise, run: Path, photos: Path, tmp_path: Path, command: str
) -> None:
    words = [{"RUN": run, "PHOTOS": photos}.get(word, word) for word in command.split()]
    (tmp_path / "rows.csv").write_text("precious")
    text = "--csv 'rows.csv' exists already; give --overwrite to replace it, or another file"
    assert convwise(*words, "--quiet", "--csv", "rows.csv").ends(2).message == text
    assert (tmp_path / "rows.csv").read_text() == "precious"
    convwise(*words, "--quiet", "--csv", "rows.csv", "--overwrite").ends(0)
    assert "path" in (tmp_path / "rows.csv").read_text().partition("\n")[0]
    text = "overwrite has no effect without a file of --csv; leave it out, or name one"
    assert convwise(*words, "--overwrite").ends(2).message == text


def test_a_table_is_announced_and_keeps_names_as_they_are(
    convwise: Convwise, make_photos: Callable[..., Path], tmp_path: Path
) -> None:
    data = make_photos(tmp_path / "data", 8, ("rouge é", "bleu"))
    convwise("fit", data, "--network", "lenet5", "--epochs", "1", "--out", tmp_path / "run", "--quiet").ends(0)
    assert convwise("predict", tmp_path / "run", data, "--csv", "rows.csv").ends(0).out == "rows.csv: 16 rows\n"
    with (tmp_path / "rows.csv").open(newline="", encoding="utf-8") as file:
        assert all('"rouge é": ' in row["probs"] for row in csv.DictReader(file))
    assert not convwise("predict", tmp_path / "run", data, "--csv", "more.csv", "--quiet").ends(0).out


STOPPED = """
from convwise.classifier import predicting
def stopped(*_, **__):
    raise KeyboardInterrupt
    yield
predicting.Classifier.predict_iter = stopped
"""


def test_an_old_table_stays_when_its_replacement_is_stopped(convwise: Convwise, run: Path, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("precious")
    convwise.python("-c", in_child(STOPPED), "predict", run, "a.jpg", "--csv", "rows.csv", "--overwrite").ends(130)
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir() if path.is_file()] == [
        ("rows.csv", "precious")
    ]


def test_an_old_table_stays_until_the_last_row_and_a_link_to_it_remains(tmp_path: Path) -> None:
    old, link = tmp_path / "rows.csv", tmp_path / "link.csv"
    old.write_text("precious")
    link.symlink_to(old)
    with open_table(link, overwrite=True) as file:
        file.write("new")
        file.flush()
        assert old.read_text() == "precious"
    assert old.read_text() == link.read_text() == "new"
    assert link.is_symlink()
    assert sorted(tmp_path.iterdir()) == [link, old]


def test_a_table_that_came_meanwhile_is_not_replaced_unasked(tmp_path: Path) -> None:
    table = tmp_path / "rows.csv"
    check_table(table, overwrite=False)
    table.write_text("precious")
    text = f"--csv {str(table)!r} exists already; give --overwrite to replace it, or another file"
    with pytest.raises(UsageError, match=f"^{re.escape(text)}$"), open_table(table, overwrite=False):
        pass
    assert table.read_text() == "precious"


def test_a_new_table_has_its_rows_as_they_come_and_so_has_a_device(tmp_path: Path) -> None:
    with open_table(tmp_path / "rows.csv", overwrite=False) as file:
        file.write("row")
        file.flush()
        assert (tmp_path / "rows.csv").read_text() == "row"
    with open_table(Path(os.devnull), overwrite=True) as file:
        file.write("row")
    text = r"^--csv '.*' cannot be written: Is a directory$"
    with pytest.raises(UsageError, match=text), open_table(tmp_path, overwrite=False):
        pass


def test_text_has_one_line_for_each_input(convwise: Convwise, run: Path, photos: Path) -> None:
    found = convwise("predict", run, photos / "disc" / "1.jpg", "absent.jpg").ends(0)
    first, second = found.out.splitlines()
    assert first.startswith(f"{photos / 'disc' / '1.jpg'}  disc  ")
    assert first.endswith(" %")
    assert second == "absent.jpg  error: cannot be read: No such file or directory"


def test_when_all_inputs_failed_the_exit_code_says_so(convwise: Convwise, run: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    found = convwise("predict", run, "absent.jpg", "empty", "--json").ends_somehow(3)
    assert len(found.json["predictions"]) == 2
    assert all(row["error"] for row in found.json["predictions"])


def test_the_answer_does_not_depend_on_threads_or_company(convwise: Convwise, run: Path, photos: Path) -> None:
    one = convwise("predict", run, photos, "--threads", 1, "--json").ends(0).json["predictions"]
    four = convwise("predict", run, photos, "--threads", 4, "--json").ends(0).json["predictions"]
    alone = convwise("predict", run, photos / "disc" / "5.jpg", "--json").ends(0).json["predictions"]
    assert one == four
    assert alone[0] in one


def test_heat_maps_are_drawn_beside_the_rows(convwise: Convwise, run: Path, photos: Path, tmp_path: Path) -> None:
    inputs = [photos / "stripes" / "2.jpg", "absent.jpg", photos / "disc" / "2.jpg"]
    rows = convwise("predict", run, *inputs, "--heatmaps", "maps", "--json").ends(0).json["predictions"]
    assert [row["heatmap"] for row in rows] == [os.path.join("maps", "2.png"), None, os.path.join("maps", "2-2.png")]
    assert list(rows[0]) == [*COLUMNS, "heatmap"]
    assert sorted(path.name for path in (tmp_path / "maps").iterdir()) == ["2-2.png", "2.png"]
    text = convwise("predict", run, inputs[0], "--heatmaps", "text").ends(0).out
    assert text.rstrip().endswith(os.path.join("text", "2.png"))
    convwise("predict", run, inputs[0], "--heatmaps", "table", "--csv", "rows.csv").ends(0)
    with (tmp_path / "rows.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["heatmap"] == os.path.join("table", "2.png")


def test_a_folder_that_cannot_take_heat_maps_is_refused_before_anything_is_classified(
    convwise: Convwise, run: Path, photos: Path, tmp_path: Path
) -> None:
    shutil.copytree(photos, tmp_path / "data")
    (tmp_path / "file").write_text("a file")
    for folder, sentence in (
        ("data/maps", "--heatmaps 'data/maps' lies in 'data', whose images are classified; name another folder"),
        ("data/disc", "--heatmaps 'data/disc' lies in 'data', whose images are classified; name another folder"),
        ("file", "--heatmaps 'file' cannot be made: File exists; name another folder"),
        (str(photos), f"--heatmaps {str(photos)!r} holds files already; name a new folder"),
    ):
        found = convwise("predict", run, "data", "--heatmaps", folder).ends(2)
        assert found.message == sentence
        assert found.out == ""
    assert not (tmp_path / "data" / "maps").exists()


@pytest.mark.slow
def test_memory_stays_flat_over_three_thousand_images(convwise: Convwise, run: Path, many_photos: Path) -> None:
    code = in_child(
        "import atexit, resource, sys\n"
        "atexit.register(lambda: print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr))"
    )
    disc = [many_photos / "disc", many_photos / "stripes" / "1.jpg"]  # 201 images
    few = convwise.python("-c", code, "predict", run, *disc, "--csv", "few.csv").ends(0)
    many = convwise.python("-c", code, "predict", run, *disc * 15, "--csv", "many.csv").ends(0)
    assert int(many.err) < 1.25 * int(few.err)  # runs differ by a twentieth; kept pixels would double it
