"""`convwise.network`: what cannot be asked for."""

import re
from pathlib import Path
from typing import Any

import pytest

import convwise
from convwise import weights
from convwise.errors import DataError, UsageError

from .comparing import V1
from .loopback import Site


def test_arguments_that_the_published_weights_contradict_are_refused(site: Site) -> None:  # noqa: ARG001
    row = weights.find("resnet50", V1)
    with pytest.raises(
        UsageError, match=r"^the weights torchvision/IMAGENET1K_V1 of resnet50 need v1_5=True, got False$"
    ):
        convwise.network("resnet50", weights=row.id, arguments={"v1_5": False})


@pytest.mark.parametrize("odd", [b"a.pth", 3.5, [], {}, 0])
def test_what_can_be_no_weights_is_refused(odd: Any) -> None:
    sentence = f"weights of resnet18 must be True, an id, the path of a file, or None for none, got {odd!r}"
    with pytest.raises(UsageError, match=re.escape(sentence) + "$"):
        convwise.network("resnet18", weights=odd)


@pytest.mark.parametrize("asked", [None, "a.pth"])
@pytest.mark.parametrize("odd", ["x", 5, [1]])
def test_arguments_that_are_no_mapping_are_refused(odd: Any, asked: str | None) -> None:
    sentence = f"arguments of resnet18 must be a mapping of names to values, got {odd!r}"
    with pytest.raises(UsageError, match=re.escape(sentence) + "$"):
        convwise.network("resnet18", weights=asked, arguments=odd)


@pytest.mark.parametrize("asked", [None, "a.pth"])
@pytest.mark.parametrize("odd", ["10", 10.0, True, 0])
def test_a_number_of_classes_is_a_whole_number(odd: Any, asked: str | None) -> None:
    sentence = f"num_classes must be a whole number from 1 to 10,000,000, got {odd!r}"
    with pytest.raises(UsageError, match=re.escape(sentence) + "$"):
        convwise.network("resnet18", odd, asked)


@pytest.mark.parametrize("odd", [5, ["x"], None])
def test_a_name_that_is_no_text_is_refused(odd: Any) -> None:
    with pytest.raises(UsageError, match=re.escape(f"`convwise networks` lists, got {odd!r}") + "$"):
        convwise.network(odd)


def test_a_folder_is_taken_for_a_file_and_refused(in_tmp_path: Path) -> None:
    (in_tmp_path / "mine").mkdir()
    with pytest.raises(DataError, match=r"^weights file 'mine' cannot be read: it is no file$"):
        convwise.network("resnet18", weights="mine")


def test_a_network_that_nobody_has_published_says_so() -> None:
    sentence = (
        "nobody has published weights of alexnet that convwise knows of; there are some of alexnet_owt; "
        "leave weights out, or give a file"
    )
    with pytest.raises(UsageError, match=re.escape(sentence)):
        convwise.network("alexnet", weights=True)


def test_an_unknown_id_or_network_is_named() -> None:
    with pytest.raises(UsageError, match=r"did you mean 'timm/resnet50\.a1_in1k'\?$"):
        convwise.network("resnet50", weights="timm/resnet50.a1_in1")
    with pytest.raises(UsageError, match=r"^network must be one of .*, got 'resnet5O'"):
        convwise.network("resnet5O", weights="a.pth")
