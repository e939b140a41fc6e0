"""What the page of a run says, and leaves out."""

import pytest

from convwise import report
from convwise.metrics import Interval
from convwise.report import ClassScores, Mistake

from .pages import NOTHING, example, read, trust

SECTIONS = [
    "figures", "next", "confusion", "mistakes", "labels", "copies", "classes", "calibration", "data", "choice",
    "members", "cost", "reproduce",
]  # fmt: skip


def test_a_page_has_every_section_in_order() -> None:
    assert [section["id"] for section in read(example()).named("section")] == SECTIONS


def test_the_page_says_what_was_measured_in_words() -> None:
    text = read(example()).text
    for sentence in [
        "97.8 % of images classified right",
        "lite0 , head, at 224 px. On 184 images of test (measured once, chose nothing).",
        "The 95 % interval runs from 94.0 to 99.0 %.",
        "always answering ants , the most common class here, would be right on 50.0 %",
        "180 images right of 184",
        "4 images of 184 were classified wrong; here is 1, the surest first.",
        "12 images of test are also in train",
        "1 file could not be used: File Reason train/broken.jpg truncated",
        "Ignored: 3 files (hidden).",
        "lite0 \u2713 chosen head, 224 px. Best by top1 . 97.8 % 94.0 to 99.0 % 385.2 M 3.4 M 9.0 s",
        "not measured 4.1 G 23.5 M",
        "Top-1 97.8 % (94.0 to 99.0 %). It chose the L2 strength, so it is not the estimate.",
        "6.71 ms median, 8.90 ms p95 (200 runs, 2 threads, CPU)",
        "385.2 M MACs",
        "30 labels of 500 are wrong with a probability of a sixth or more, as judged by layers that had not seen them;",
        "labelled ants 0.4 % rather bees ? 99.0 % 99.9 % likely wrong; train , train/ants/2.jpg",
        "3 pairs of different files show nearly the same, by their features; near_duplicates.csv has all.",
        "1 image of test has its like in another split : what is measured on it flatters the classifier.",
        "no picture in two splits cosine 0.92 ants , train : train/ants/3.jpg ants , test : test/ants/4.jpg",
        "13.6 MB",
        "convwise fit photos/ --out runs/1",
        "2026-01-31, in 41 s",
    ]:
        assert sentence in text


def test_the_corner_of_the_confusion_picture_names_both_ways() -> None:
    assert "answer \u2192 true class \u2193 ants" in read(example()).text


def test_the_page_says_how_far_the_probabilities_can_be_trusted() -> None:
    text = read(example()).text
    for sentence in [
        "Calibration error (ECE) 8.0 % 3.0 % Log loss (NLL) 0.200 0.150",
        "The network was too sure of its answers: its logits are divided by 1.310.",
        "fitted on 400 images (5-fold cross-validation inside train ), never on those measured here.",
        "chance alone would leave an error of up to 5.0 % on so many images: these show no fault.",
    ]:
        assert sentence in text
    assert "little can be said of it" not in text
    assert "little can be said of it" in read(example(right=9, wrong=1)).text


@pytest.mark.parametrize(
    ("temperature", "words"), [(0.8, "less sure of its answers than it might be"), (1.04, "next to no correction")]
)
def test_a_temperature_has_its_words(temperature: float, words: str) -> None:
    calibration = example().calibration
    assert calibration
    assert words in read(example(calibration=calibration._replace(temperature=temperature))).text


def test_an_error_above_what_chance_leaves_is_a_warning() -> None:
    bad = report.Calibration(1.0, "`val`", 20, trust(0.2, 0.05, 1), trust(0.2, 0.05, 1))
    text = read(example(calibration=bad)).text
    assert "Take the probabilities with care: if they were true, chance would leave an error of at most 5.0 %" in text
    assert "these show no fault" not in text


def test_the_picture_of_the_probabilities_has_a_dot_for_each_bin_with_images() -> None:
    page = read(example())
    dots = [(c["class"], c["cx"], c["cy"]) for c in page.named("circle")]
    # x = 46 + 360 p, y = 250 - 240 r: 0.5 and 2 of 4; 0.98 and 178 of 180
    places = [("226.0", "130.0"), ("398.8", "12.7")]
    assert dots == [(name, *place) for name in ("before", "after") for place in places]
    assert [(r["x"], r["height"]) for r in page.named("rect")] == [("190.0", "0.8"), ("334.0", "38.0")]


def test_a_record_without_calibration_has_no_such_section() -> None:
    assert "calibration" not in [section["id"] for section in read(example(calibration=None)).named("section")]


def test_what_several_seeds_gain_together_is_told_with_its_price() -> None:
    text = read(example()).text
    section = text[text.index("What several together would gain") : text.index("What it costs")]
    assert "trained from 2 seeds" in section
    assert "B is in members/2 . Alone they are right on 95.7 to 96.2 %. Training all but A took 80 s." in section
    assert "A + B not worth it on this 97.8 % 94.0 to 99.0 % +1.4 \N{MINUS SIGN}0.2 to +3.0 x 2 x 1.97" in section
    assert "members" not in [part["id"] for part in read(example(ensemble=None)).named("section")]


def test_few_images_bring_a_caveat_and_many_do_not() -> None:
    assert "Few images. One image more or less moves this figure by 5.0 points" in read(example(right=9, wrong=1)).text
    assert "Few images" not in read(example()).text


def test_a_result_no_better_than_the_most_common_class_is_called_so() -> None:
    measured = example().measured._replace(top1=Interval(0.55, 0.48, 0.62))
    assert "this result is not clearly better than that" in read(example(measured=measured)).text
    assert "not clearly better" not in read(example()).text


def test_a_class_without_images_shows_dashes_and_comes_last() -> None:
    good = example().per_class[0]
    record = example(
        ("ants", "bees"),
        confusion=((0, 0), (2, 90)),
        per_class=(ClassScores("ants", 0, NOTHING, NOTHING, NOTHING), good._replace(label="bees")),
    )
    page = read(record)
    assert (
        "bees 92 97.8 % 94.0 to 99.0 % 97.8 % 94.0 to 99.0 % 97.8 % 94.0 to 99.0 % ants 0 \u2013 \u2013 \u2013"
        in page.text
    )
    assert "nan" not in report.render(record)


def test_the_weakest_class_comes_first() -> None:
    rows = tuple(
        row._replace(f1=Interval(f1, 0.1, 0.9)) for row, f1 in zip(example().per_class, (0.8, 0.3), strict=True)
    )
    text = read(example(per_class=rows)).text
    table = text[text.index("Class by class") : text.index("The data")]
    assert table.index("bees") < table.index("ants")


def test_the_confusion_picture_has_a_number_in_every_cell() -> None:
    page = read(example(("a", "b", "c"), right=8, wrong=1))
    kinds = [cell["class"] for cell in page.named("td") if cell.get("class") in ("right high", "wrong", "zero")]
    assert kinds == ["right high", "wrong", "zero", "zero", "right high", "wrong", "wrong", "zero", "right high"]
    assert "a 8 1 0 b 0 8 1 c 1 0 8" in page.text


def test_more_than_twenty_classes_give_the_confused_pairs_instead_of_a_grid() -> None:
    page = read(example(tuple(f"class{k}" for k in range(21)), right=8, wrong=2))
    assert not [table for table in page.named("table") if "confusion" in (table.get("class") or "")]
    assert "class0 class1 2 20.0 %" in page.text
    assert "The other 11 pairs" in page.text
    assert "No two of the 30 classes were confused." in read(example(tuple(map(str, range(30))), wrong=0)).text


def test_no_mistakes_give_a_sentence_instead_of_a_gallery() -> None:
    page = read(example(wrong=0, mistakes=(), doubts=None, copies=None))
    assert "There are none to show: all 180 images were classified right." in page.text
    assert page.named("figure") == []
    assert "4 images of 184 were classified wrong; predictions.csv has the list." in read(example(mistakes=())).text


def test_the_surest_mistake_comes_first_and_may_lack_a_picture() -> None:
    one, two = (
        Mistake(f"{name}.jpg", "ants", "bees", prob, 1 - prob, None) for name, prob in (("one", 0.6), ("two", 0.9))
    )
    text = read(example(mistakes=(one, two))).text
    assert text.index("two.jpg") < text.index("one.jpg")
    assert "no picture taken for bees 90.0 % labelled ants 10.0 %" in text


def test_a_mistake_shows_its_heat_beside_it() -> None:
    row = Mistake("one.jpg", "ants", "bees", 0.9, 0.1, b"\xff\xd8jpeg", b"\xff\xd8heat")
    page = read(example(mistakes=(row,)))
    assert [image["alt"] for image in page.named("img")][:2] == [
        "one.jpg: true class ants, predicted bees", "where in it bees was found",
    ]  # fmt: skip
    assert "Bright in the second picture is what spoke for the answer" in page.text
    assert "Bright in the second picture" not in read(example()).text


def test_labels_without_doubt_and_images_without_a_like_are_told() -> None:
    text = read(example(doubts=report.Doubts(12, 0, ()), copies=report.Copies(0, 0, "test", ()))).text
    assert "None of the 12 labels is doubtful." in text
    assert "No two different files show nearly the same, by their features." in text


def test_without_features_the_page_has_nothing_on_labels_and_copies() -> None:
    sections = [section["id"] for section in read(example(doubts=None, copies=None)).named("section")]
    assert sections == [name for name in SECTIONS if name not in ("labels", "copies")]


def test_optional_parts_may_be_absent() -> None:
    record = example(cross_validation=None, skipped=(), ignored={}, notes=(), next_steps=())
    text = read(record).text
    assert "Every image file could be used." in text
    assert "Nothing is left to do." in text
    for part in ("Cross-validation inside train", "Ignored", "read them"):
        assert part not in text
