import re

import pytest

from convwise.report import Training

from .pages import example, read

NAN = float("nan")
THREE = Training(
    "lite0", "trained behind a frozen part", "lr = 0.1", (2.0, 1.0, 0.5), (1.0, 0.5, 0.8), (0.5, 0.75, 0.7), 2
)


def test_curves_are_drawn_to_scale_from_zero() -> None:
    losses, right = THREE.panels
    # 256 wide from 44, 156 high from 180 upwards; the highest of both curves is at the top
    assert [line.label for line in losses.lines] == ["train loss", "NLL of what chose"]
    assert losses.lines[0].points == "44.0,24.0 172.0,102.0 300.0,141.0"
    assert losses.lines[1].points == "44.0,102.0 172.0,141.0 300.0,117.6"
    assert losses.rows == ((180.0, "0"), (102.0, "1"), (24.0, "2"))
    assert losses.columns == ((44.0, "1"), (300.0, "3"))
    assert (losses.best, right.best) == (172.0, 172.0)
    assert right.lines[0].points == "44.0,102.0 172.0,63.0 300.0,70.8"
    assert [text for _, text in right.rows] == ["0", "50", "100"]


def test_an_epoch_that_came_to_no_number_is_left_out_and_one_epoch_is_enough() -> None:
    diverged = THREE._replace(train_loss=(2.0, 1.0, NAN), nll=(1.0, 0.5, NAN), top1=(0.5, 0.75, NAN))
    assert all(len(line.points.split()) == 2 for panel in diverged.panels for line in panel.lines)
    one = Training("lite0", "", "", (0.0,), (0.0,), (1.0,), 1)
    assert [panel.lines[0].points for panel in one.panels] == ["172.0,180.0", "172.0,24.0"]


def dots(*trainings: Training) -> list[tuple[str | None, ...]]:
    """Class and place of the dots in the curves of a page; reliability has dots of other classes."""
    found = read(example(trainings=trainings)).named("circle")
    return [(dot["class"], dot["cx"], dot["cy"]) for dot in found if dot["class"] in ("learnt", "judged")]


def test_a_lone_epoch_is_a_dot_on_the_page_and_more_are_a_line() -> None:
    one = Training("lite0", "", "", (2.0,), (1.0,), (0.75,), 1)
    assert dots(one) == [("learnt", "172.0", "24.0"), ("judged", "172.0", "102.0"), ("judged", "172.0", "63.0")]
    diverged = THREE._replace(train_loss=(2.0, NAN, NAN), nll=(1.0, 0.5, NAN), top1=(0.5, 0.75, NAN))
    assert dots(diverged) == [("learnt", "44.0", "24.0")]
    assert dots(THREE) == []
    assert len(read(example(trainings=(THREE, one))).named("polyline")) == 3


def test_the_page_shows_curves_and_recipe_of_each_training() -> None:
    hostile = THREE._replace(recipe="lr = 0.1 # <script>\nseed = 1")
    page = read(example(trainings=(THREE, hostile)))
    assert len([svg for svg in page.named("svg") if svg.get("class") == "epochs"]) == 4
    assert page.text.count("Epoch 2 of 3 was kept: NLL 0.500, 75.0 % right of what chose.") == 2
    assert "lr = 0.1 # <script> seed = 1" in page.text  # on two lines
    assert not page.named("script")
    assert not [svg for svg in read(example()).named("svg") if svg.get("class") == "epochs"]


@pytest.mark.parametrize("style", ["grid", "kept", "learnt", "judged"])
def test_lines_take_the_pages_own_colours_which_suit_light_and_dark(style: str) -> None:
    from convwise import report

    css = report.render(example()).partition("</style>")[0]
    (rule,) = re.findall(rf"\.epochs \.{style} {{ ([^}}]*) }}", css)
    assert "var(--" in rule
