"""What bad input gets: one line that says what, where, got, and the next step."""

import re

import pytest
import torch
from torch import Tensor, nn

from convwise import networks
from convwise.cost import analyze, sketch
from convwise.errors import UsageError


def one_line(module: nn.Module, shape: tuple[int, ...], device: str = "meta") -> str:
    with pytest.raises(UsageError) as caught:
        analyze(module, shape, device=device)
    text = str(caught.value)
    assert "\n" not in text
    return text


def sketched(name: str) -> nn.Module:
    with sketch():
        return networks.create(name)


@pytest.mark.parametrize(
    ("name", "shape", "words"),
    [
        (
            "resnet50", (1, 224, 224),
            "input of 1 x 224 x 224 cannot pass layer 'stem.0.conv' (Conv2d): takes 3 channels, got 1",
        ),
        (
            "lenet5", (3, 28, 28),
            "input of 3 x 28 x 28 cannot pass layer 'stage1.block1.conv' (Conv2d): takes 1 channel, got 3",
        ),
        (
            "googlenet_bn", (3, 8, 8),
            (
                "input of 3 x 8 x 8 cannot pass layer 'stage2.block2.1' (MaxPool2d): "
                "its window of 3 x 3 is larger than the padded input of 1 x 1"
            ),
        ),
        (
            "lenet5", (1, 64, 64),
            "input of 1 x 64 x 64 cannot pass layer 'head.1' (Linear): takes 400 numbers, got 3,136",
        ),
    ],
)  # fmt: skip
def test_an_input_that_a_network_cannot_take(name: str, shape: tuple[int, ...], words: str) -> None:
    assert one_line(sketched(name), shape) == f"{words}; give another resolution or number of channels"


def test_what_torch_says_is_told_with_the_place() -> None:
    class Adds(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x + torch.ones(1, 5, 1, 1)

    body = nn.Sequential(nn.ReLU(), Adds())
    torchs = "The size of tensor a (3) must match the size of tensor b (5) at non-singleton dimension 1"
    hint = "give another resolution or number of channels"
    start = f"input of 3 x 4 x 4 cannot pass layer '1' (Adds): {torchs}; {hint}"
    assert one_line(body, (3, 4, 4)) == f"{start}, or device='cpu' where it must see values"
    assert one_line(body, (3, 4, 4), device="cpu") == start
    assert one_line(Adds(), (3, 4, 4), device="cpu").startswith("input of 3 x 4 x 4 cannot pass Adds: ")


def test_an_assertion_without_words_is_told_by_its_kind() -> None:
    class Asserts(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            assert x.shape[-1] == 7
            return x

    assert re.match(r"input of 3 x 4 x 4 cannot pass Asserts: \w", one_line(Asserts(), (3, 4, 4)))


class Asks(nn.Module):
    """Takes another way for dark images."""

    def forward(self, x: Tensor) -> Tensor:
        return 2 * x if x.sum() > 0 else x + 1


class Selects(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x[x > 0]


class Finds(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.nonzero()


@pytest.mark.parametrize(
    ("module", "operator"),
    [(Asks(), "aten._local_scalar_dense"), (Selects(), "aten.index"), (Finds(), "aten.nonzero")],
)
def test_a_module_that_must_see_values(module: nn.Module, operator: str) -> None:
    words = f"needs the values of tensors ({operator}), and there are only shapes; "
    hint = "analyze it with device='cpu', which runs it once on zeros"
    kind = type(module).__name__
    assert one_line(nn.Sequential(nn.ReLU(), module), (3, 4, 4)) == f"layer '1' ({kind}) {words}{hint}"
    assert one_line(module, (3, 4, 4)) == f"{kind} {words}{hint}"


def test_such_a_module_can_be_analysed_on_zeros() -> None:
    report = analyze(nn.Sequential(nn.Conv2d(3, 2, 1), Asks()), (3, 4, 4), device="cpu")
    assert report.macs == 6 * 16
    assert "aten.sum" in [row.operator for row in report.uncounted]


def test_zeros_need_weights() -> None:
    assert one_line(sketched("lenet5"), (1, 28, 28), device="cpu") == (
        "device='cpu' needs a module with weights, got one without memory; build it outside sketch()"
    )


@pytest.mark.parametrize(("shape", "got"), [((), "none"), ((0, 3, 3), "0 x 3 x 3"), ((3, -1, 2), "3 x -1 x 2")])
def test_a_shape_without_pixels(shape: tuple[int, ...], got: str) -> None:
    assert one_line(nn.ReLU(), shape) == f"input_shape must have sizes of at least 1, got {got}"


def test_an_unknown_device() -> None:
    assert one_line(nn.ReLU(), (3,), device="cup") == "device must be one of meta, cpu, got 'cup'; did you mean 'cpu'?"


def test_our_own_errors_pass_unchanged() -> None:
    class Refuses(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            raise UsageError(f"no, not {len(x)}")

    assert one_line(nn.Sequential(Refuses()), (3,)) == "no, not 1"


def test_a_fault_of_the_module_is_not_taken_for_one_of_the_input() -> None:
    class Faulty(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.no_such_thing  # type: ignore[attr-defined,no-any-return]

    with pytest.raises(AttributeError, match="no_such_thing"):
        analyze(Faulty(), (3, 4, 4))
