"""Folders as they are: fit carries on, exit 0, and says what it left out."""

import csv
import io
import os
import re
import sys
from collections.abc import Iterable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from .harness import Convwise, Done, huge_png, in_child, picture, write_folder, write_photos

CLASSES = ["with a space", "quo\"te's & <b>", "new\nline", "собака 狗 🐕", os.fsdecode(b"caf\xe9")]
needs_posix = pytest.mark.skipif(sys.platform != "linux", reason="file names of any bytes are Linux's")


def truncated(path: Path) -> bytes:
    """The first half of a file."""
    content = path.read_bytes()
    return content[: len(content) // 2]


def encoded(kind: int, seed: int, image_format: str, **options: Any) -> bytes:
    """A picture as a file in a format."""
    out = io.BytesIO()
    Image.fromarray(picture(kind, seed)).save(out, image_format, **options)
    return out.getvalue()


def write_odd(root: Path) -> Path:
    """Two good classes, and in the first everything that goes wrong in practice."""
    write_folder(root, count=8)
    disc = root / "disc"
    (disc / "truncated.jpg").write_bytes(truncated(disc / "0.jpg"))
    (disc / "truncated.tif").write_bytes(encoded(0, 50, "TIFF", compression="tiff_lzw")[:3000])
    (disc / "empty.png").write_bytes(b"")
    (disc / "huge.png").write_bytes(huge_png())
    (disc / "page.jpg").write_text("<html>404 not found</html>")
    (disc / "photo.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100))
    (disc / "png.jpg").write_bytes(encoded(0, 51, "PNG"))
    frames = [Image.fromarray(picture(0, seed)) for seed in (52, 53, 54)]
    frames[0].save(disc / "moving.gif", save_all=True, append_images=frames[1:])
    (disc / "UPPER.JPG").write_bytes(encoded(0, 55, "JPEG"))
    (disc / ".hidden.jpg").write_bytes(encoded(0, 56, "JPEG"))
    (disc / "notes.txt").write_text("notes")
    (root / "loose.jpg").write_bytes(encoded(0, 57, "JPEG"))
    (root / ".git").mkdir()
    (root / "nothing").mkdir()
    (disc / "dangling.jpg").symlink_to("nowhere.jpg")
    (disc / "itself.jpg").symlink_to("itself.jpg")
    (disc / "loop").symlink_to("..", target_is_directory=True)
    (root / "everything").symlink_to(".", target_is_directory=True)
    (disc / "linked.jpg").symlink_to(disc / "1.jpg")
    os.mkfifo(disc / "pipe.jpg")
    write_photos(root / "single", 2, 1)
    return root


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory, warm_cache: Path, run: Path) -> tuple[Done, Path]:  # noqa: ARG001
    """What `fit` says of the odd folder, and its run."""
    folder = tmp_path_factory.mktemp("odd")
    write_odd(folder / "data")
    return Convwise(folder, warm_cache).fit("data", "run").ends(0), folder / "run"


def read_csv(path: Path) -> list[dict[str, str]]:
    """Rows of a table."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def in_table(names: Iterable[str]) -> set[str]:
    """Names as a table has them: it is UTF-8 always, so bytes that are not become escapes."""
    return {name.encode("utf-8", "backslashreplace").decode() for name in names}


@needs_posix
def test_files_that_cannot_be_used_are_listed_each_with_its_reason(odd: tuple[Done, Path]) -> None:
    found, run = odd
    problems = {row["path"].removeprefix("disc/"): row["problem"] for row in read_csv(run / "samples.csv")}
    expected = {
        "truncated.jpg": r"cut short \(truncated\)",
        "truncated.tif": r"not an image that can be read \(3000 bytes\)",
        "empty.png": "zero bytes",
        "huge.png": "too many pixels: more than the limit of 178 megapixels",
        "page.jpg": r"not an image that can be read \(26 bytes\)",
        "photo.heic": "(not an image that can be read|damaged|HEIC needs an extra).*",
        "dangling.jpg": "cannot be read: No such file or directory",
        "itself.jpg": "cannot be read: Too many levels of symbolic links",
        "pipe.jpg": "cannot be read: not a regular file",
    }
    assert {path for path, problem in problems.items() if problem} == expected.keys()
    for path, reason in expected.items():
        assert re.fullmatch(reason, problems[path]), (path, problems[path])
    assert found.json["skipped"] == len(expected)
    assert found.err == ""


@needs_posix
def test_files_that_are_only_odd_are_used(odd: tuple[Done, Path]) -> None:
    found, run = odd
    rows = {row["path"]: row for row in read_csv(run / "samples.csv")}
    for path in ("png.jpg", "moving.gif", "UPPER.JPG", "linked.jpg"):
        row = rows[f"disc/{path}"]
        assert (row["label"], row["problem"]) == ("disc", "")
        assert row["split"] in ("train", "test")
        assert len(row["sha256"]) == 64
    assert not [path for path in rows if "hidden" in path or "loop" in path or path.startswith("everything")]
    assert len(rows) == 8 + 8 + 4 + 9 + 1
    assert found.json["classes"] == 3


@needs_posix
def test_what_was_odd_is_said(odd: tuple[Done, Path]) -> None:
    notes = " | ".join(odd[0].json["notes"])
    assert "1 file with an extension that names another format than the content; read by content" in notes
    assert "1 file with several frames; the first one counts" in notes
    assert "1 class with fewer than 5 images to train: 'single'" in notes
    assert "class folder 'nothing' holds no image file and is no class" in notes
    page = (odd[1] / "report.html").read_text()
    for reason in ("zero bytes", "loose files beside the class folders", "links that lead back to a folder above"):
        assert reason in page


@needs_posix
def test_a_class_with_one_image_is_learnt_from(odd: tuple[Done, Path]) -> None:
    (row,) = (row for row in read_csv(odd[1] / "samples.csv") if row["label"] == "single")
    assert row["split"] == "train"


def test_a_handful_of_easy_photos_is_enough(convwise: Convwise, tmp_path: Path) -> None:
    for kinds in (("chess", "disc"), ("disc", "stripes")):
        data = write_folder(tmp_path / kinds[0], kinds, count=6)
        convwise.fit(data, f"run of {kinds[0]}").ends(0)


def test_heic_without_the_extra_says_what_to_install(convwise: Convwise, tmp_path: Path) -> None:
    data = write_folder(tmp_path / "data", count=4)
    (data / "disc" / "phone.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100))
    code = in_child("import sys; sys.modules['pi_heif'] = None")  # as if it were not installed
    found = convwise.python("-c", code, "fit", data, "--out", "run", "--json", "--quiet").ends(0)
    assert found.json["skipped"] == 1
    assert "1 file in HEIC could not be read; they need an extra: `pip install 'convwise[heic]'`" in found.json["notes"]
    found = convwise.python("-c", code, "scan", data, "--json", "--quiet").ends(0)
    assert [p["kind"] for p in found.json["problems"]] == ["needs heic"]


def test_a_folder_of_heic_alone_names_the_extra_that_is_missing(convwise: Convwise, tmp_path: Path) -> None:
    for name in ("chess", "disc"):
        (tmp_path / "data" / name).mkdir(parents=True)
        (tmp_path / "data" / name / "phone.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + name.encode())
    code = in_child("import sys; sys.modules['pi_heif'] = None")  # as if it were not installed
    found = convwise.python("-c", code, "fit", tmp_path / "data", "--out", "run", "--quiet").ends(5)
    assert found.message.startswith("all 2 image files in ")
    assert found.message.endswith("are HEIC; HEIC needs an extra: pip install 'convwise[heic]'")
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("run")] == []  # nothing is left


@needs_posix
def test_names_of_any_characters_come_through_whole(convwise: Convwise, tmp_path: Path) -> None:
    names = [
        "a b.jpg",
        'it\'s "one".jpg',
        "new\nline.jpg",
        "фото 写真.jpg",
        os.fsdecode(b"caf\xe9\xff.jpg"),
        "\u202egpj.jpg",
    ]
    for kind, label in enumerate(CLASSES):
        write_folder(tmp_path / "data", [label], count=3)
        for n, name in enumerate(names):
            (tmp_path / "data" / label / name).write_bytes(encoded(kind % 3, 100 * kind + n, "JPEG"))
    found = convwise.fit("data", "run").ends(0)
    assert found.json["classes"] == len(CLASSES)
    assert found.json["skipped"] == 0
    rows = read_csv(tmp_path / "run" / "samples.csv")
    assert {row["label"] for row in rows} == in_table(CLASSES)
    assert {row["path"].partition("/")[2] for row in rows} >= in_table(names)
    assert {row["class"] for row in read_csv(tmp_path / "run" / "per_class.csv")} == in_table(CLASSES)
    path = os.path.join("data", CLASSES[-1], names[-2])
    (row,) = convwise("predict", "run", path, "--json").ends(0).json["predictions"]
    assert row["path"] == path
    assert set(row["probs"]) == set(CLASSES)
    text = convwise("predict", "run", *(os.path.join("data", label, names[2]) for label in CLASSES)).ends(0).out
    assert len(text.splitlines()) == len(CLASSES)
    evaluated = convwise("evaluate", "run", "data", "--json", "--quiet").ends(0).json
    assert {row["class"] for row in evaluated["per_class"]} == set(CLASSES)
    text = convwise("scan", "data", "--quiet").ends(0).out
    assert "\n  new\\nline " in text
    assert "\n  caf\\udce9 " in text


@pytest.mark.slow
@needs_posix
def test_one_name_in_two_unicode_forms_is_one_class(convwise: Convwise, tmp_path: Path) -> None:
    write_photos(tmp_path / "data" / "caf\u00e9", 0, 4)
    write_photos(tmp_path / "data" / "cafe\u0301", 0, 4, first=4)
    write_photos(tmp_path / "data" / "bar", 1, 4)
    assert convwise.fit("data", "run").ends(0).json["classes"] == 2


class Page(HTMLParser):
    """Collects the elements, attributes and text of a page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(path.read_text(encoding="utf-8"))
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory, warm_cache: Path, run: Path) -> Path:  # noqa: ARG001
    """A folder of a run on classes and files whose names attack pages and spreadsheets; many answers are wrong."""
    folder = tmp_path_factory.mktemp("hostile")
    for k, label in enumerate(["<img src=x onerror=alert(1)>", '" onload="alert(2)', "=1+1", "@SUM(A1)"]):
        write_photos(folder / "data" / label, 0, 10, first=20 * k)  # all alike, so that mistakes are shown
        for n, name in enumerate(("<img src=x onerror=alert(1)>.jpg", "-x.png", "+y.png", "@z.png", "'><script>.jpg")):
            (folder / "data" / label / name).write_bytes(encoded(0, 1000 + 10 * k + n, "JPEG"))
    (folder / "data" / "=1+1" / "=broken.jpg").write_bytes(b"junk")
    Convwise(folder, warm_cache).fit("data", "run").ends(0)
    return folder


def test_names_are_inert_in_the_page(hostile: Path) -> None:
    page = Page(hostile / "run" / "report.html")
    assert "<img src=x onerror=alert(1)>" in page.text
    assert '" onload="alert(2)' in page.text
    assert not [tag for tag, _ in page.tags if tag in ("script", "iframe", "object", "link")]
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]
    pictures = [attributes for tag, attributes in page.tags if tag == "img"]
    assert pictures, "no mistake is shown, so nothing was tested"
    assert all((attributes["src"] or "").startswith("data:image/jpeg;base64,") for attributes in pictures)


def test_no_table_holds_a_formula(convwise: Convwise, hostile: Path, tmp_path: Path) -> None:
    label = hostile / "data" / "=1+1"
    here = Convwise(label, convwise.cache)
    here(
        "predict", hostile / "run", "--csv", tmp_path / "rows.csv", "--", "-x.png", "+y.png", "@z.png", "=no.png"
    ).ends(0)
    Convwise(hostile / "data", convwise.cache)("scan", ".", "--quiet", "--csv", tmp_path / "scan.csv").ends(0)
    tables = [*(hostile / "run").glob("*.csv"), tmp_path / "rows.csv", tmp_path / "scan.csv"]
    assert len(tables) == 9
    for table in tables:
        with table.open(encoding="utf-8", newline="") as file:
            cells = [cell for row in csv.reader(file) for cell in row]
        for cell in cells:
            assert not cell.startswith(("=", "+", "-", "@")) or _is_number(cell), (table.name, cell)
    rows = read_csv(tmp_path / "rows.csv")
    assert [row["path"] for row in rows] == ["'-x.png", "'+y.png", "'@z.png", "'=no.png"]
    assert rows[3]["error"] == "cannot be read: No such file or directory"
    with (hostile / "run" / "confusion.csv").open(encoding="utf-8", newline="") as file:
        assert {"'=1+1", "'@SUM(A1)"} <= set(next(csv.reader(file)))


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
