import pytest

from convwise.data.formats import NEEDS_HEIC
from convwise.data.problems import ADVICE, Facts, Problem, count_classes, find_problems
from convwise.data.samples import Sample


def facts(path: str, *, label: str = "a", split: str | None = None, sha256: str = "", kind: str = "JPEG",
          width: int = 100, height: int = 100, problem: str = "") -> Facts:  # fmt: skip
    return Facts(Sample(path, label, split, sha256=sha256 or path), kind, width, height, problem)


def test_good_files_have_no_problem() -> None:
    assert find_problems([facts("a/1.jpg"), facts("a/2.png", kind="PNG"), facts("a/3.jpg", kind="MPO")]) == []


def test_unreadable_files_keep_their_reason() -> None:
    files = [facts("a/1.jpg", problem="zero bytes"), facts("a/2.heic", problem=NEEDS_HEIC)]
    assert find_problems(files) == [
        Problem("unreadable", "a/1.jpg", "zero bytes"),
        Problem("needs heic", "a/2.heic", NEEDS_HEIC),
    ]


def test_unreadable_copies_are_no_duplicates() -> None:
    files = [facts("a/1.jpg", sha256="x", problem="zero bytes"), facts("a/2.jpg", sha256="x", problem="zero bytes")]
    assert [p.kind for p in find_problems(files)] == ["unreadable", "unreadable"]


def test_an_extension_that_lies_is_named_with_the_content() -> None:
    assert find_problems([facts("a/1.jpg", kind="PNG")]) == [Problem("extension lies", "a/1.jpg", "the content is PNG")]


@pytest.mark.parametrize(("width", "height", "tiny"), [(31, 100, True), (100, 31, True), (32, 32, False)])
def test_tiny_is_less_than_32_pixels_a_side(width: int, height: int, tiny: bool) -> None:
    found = find_problems([facts("a/1.jpg", width=width, height=height)])
    assert found == ([Problem("tiny", "a/1.jpg", f"{width} x {height} pixels")] if tiny else [])


@pytest.mark.parametrize(("width", "height", "extreme"), [(401, 100, True), (100, 401, True), (400, 100, False)])
def test_extreme_is_more_than_four_to_one(width: int, height: int, extreme: bool) -> None:
    found = find_problems([facts("a/1.jpg", width=width, height=height)])
    assert found == ([Problem("extreme aspect", "a/1.jpg", f"{width} x {height} pixels")] if extreme else [])


def test_sizes_that_are_what_they_are_are_no_problem() -> None:
    assert find_problems([facts("a#1", kind="PPM", width=28, height=28), facts("a#2", width=500)], sizes=False) == []


def test_copies_are_named_with_the_first() -> None:
    files = [facts(f"a/{i}.jpg", sha256="x") for i in range(3)]
    assert find_problems(files) == [
        Problem("duplicate", "a/1.jpg", "the same bytes as a/0.jpg"),
        Problem("duplicate", "a/2.jpg", "the same bytes as a/0.jpg"),
    ]


def test_a_copy_in_another_class_is_worse_than_one_in_another_split() -> None:
    classes = [
        facts("train/a/1.jpg", split="train", sha256="x"),
        facts("test/b/1.jpg", label="b", split="test", sha256="x"),
    ]
    splits = [facts("train/a/2.jpg", split="train", sha256="y"), facts("test/a/2.jpg", split="test", sha256="y")]
    assert find_problems(classes) == [Problem("in two classes", "test/b/1.jpg", "the same bytes as train/a/1.jpg")]
    assert find_problems(splits) == [Problem("in two splits", "test/a/2.jpg", "the same bytes as train/a/2.jpg")]


def test_problems_are_in_the_order_of_the_advice_and_of_the_files() -> None:
    files = [
        facts("a/1.jpg", width=8), facts("a/2.jpg", kind="GIF"), facts("a/3.jpg", sha256="a/1.jpg"),
        facts("a/4.jpg", problem="zero bytes"), facts("a/5.jpg", kind="PNG"),
    ]  # fmt: skip
    found = find_problems(files)
    kinds = [p.kind for p in found]
    assert kinds == sorted(kinds, key=list(ADVICE).index)
    assert [p.path for p in found if p.kind == "extension lies"] == ["a/2.jpg", "a/5.jpg"]
    assert set(kinds) == {"unreadable", "extension lies", "duplicate", "tiny", "extreme aspect"}


def test_images_are_counted_by_class_and_split() -> None:
    samples = [Sample("1", "a", "train"), Sample("2", "a", "train"), Sample("3", "a", "test"), Sample("4", "b", "test")]
    assert count_classes(samples) == {"a": {"train": 2, "test": 1}, "b": {"test": 1}}
    assert count_classes([Sample("1", "a")]) == {"a": {None: 1}}
