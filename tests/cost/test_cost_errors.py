"""What bad input gets: one line that says what, where, got, and the next step."""

import re
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from convwise import networks
from convwise.cost import NeedsValuesError, analyze, sketch
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
    torchs = "RuntimeError: The size of tensor a (3) must match the size of tensor b (5) at non-singleton dimension 1"
    hint = "give another resolution or number of channels"
    for device in ("meta", "cpu"):
        words = f"input of 3 x 4 x 4 cannot pass layer '1' (Adds): {torchs}; {hint}"
        assert one_line(body, (3, 4, 4), device=device) == words
    assert one_line(Adds(), (3, 4, 4), device="cpu").startswith("input of 3 x 4 x 4 cannot pass Adds: ")


def test_an_assertion_without_words_is_told_by_its_kind() -> None:
    class Asserts(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            assert x.shape[-1] == 7
            return x

    assert re.fullmatch(r"input of 3 x 4 x 4 cannot pass Asserts: AssertionError.*", one_line(Asserts(), (3, 4, 4)))


class Complains(nn.Module):
    def forward(self, _x: Tensor) -> Tensor:
        raise ValueError("squares only,\nand   no others.")


class Adds(nn.Module):
    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return x + y


class Scales(nn.Module):
    def forward(self, x: Tensor, *, scale: float) -> Tensor:
        return scale * x


START = "input of 3 x 4 x 4 cannot pass"
WRAP = "wrap it in a module whose forward takes the image alone"


@pytest.mark.parametrize("device", ["meta", "cpu"])
@pytest.mark.parametrize(
    ("module", "words"),
    [
        (Complains(), f"{START} Complains: ValueError: squares only, and no others"),
        (
            nn.ModuleList(),
            f'{START} ModuleList: NotImplementedError: Module [ModuleList] is missing the required "forward" function',
        ),
        (
            nn.Sequential(Adds()),
            f"{START} layer '0' (Adds): TypeError: Adds.forward() missing 1 required positional argument: 'y'",
        ),
        (Adds(), f"Adds must take one tensor, got forward(x, y); {WRAP}"),
        (Scales(), f"Scales must take one tensor, got forward(x, scale); {WRAP}"),
    ],
    ids=lambda given: type(given).__name__,
)
def test_what_another_input_would_not_mend_gets_no_such_advice(module: nn.Module, words: str, device: str) -> None:
    assert one_line(module, (3, 4, 4), device=device) == words


def test_a_long_complaint_is_cut() -> None:
    class Rambles(nn.Module):
        def forward(self, _x: Tensor) -> Tensor:
            raise ValueError("no " * 1000)

    words = one_line(Rambles(), (3, 4, 4))
    assert words.endswith(" no ...")
    assert len(words) < 400


def test_a_complaint_without_spaces_is_cut_too() -> None:
    class Shouts(nn.Module):
        def forward(self, _x: Tensor) -> Tensor:
            raise ValueError("x" * 400)

    assert one_line(Shouts(), (3, 4, 4)) == f"{START} Shouts: ValueError: {'x' * 297}..."


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


class Lists(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return 2 * x if x.tolist()[0][0][0] > 0 else x + 1


class Leaves(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x + torch.from_numpy(x.numpy())


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


def test_that_values_are_needed_is_an_error_of_its_own() -> None:
    class Tells(nn.Module):
        def forward(self, _x: Tensor) -> Tensor:
            raise RuntimeError("a metaformer needs metadata")

    seeing: tuple[nn.Module, ...] = (Asks(), Selects(), Lists(), Leaves())
    for module in seeing:
        with pytest.raises(NeedsValuesError):
            analyze(module, (3, 4))
    for module, shape in ((nn.Conv2d(3, 2, 1), (4, 4, 4)), (Tells(), (3, 4)), (Adds(), (3, 4))):
        with pytest.raises(UsageError) as caught:
            analyze(module, shape)
        assert type(caught.value) is UsageError
        assert "device='cpu'" not in str(caught.value)


@pytest.mark.parametrize("module", [Lists(), Leaves()])
def test_a_module_that_takes_values_out_of_torch_is_told_the_same_way_on(module: nn.Module) -> None:
    words = one_line(module, (3, 4))
    assert words.startswith(f"input of 3 x 4 cannot pass {type(module).__name__}: ")
    assert words.endswith("; analyze it with device='cpu', which runs it once on zeros")
    assert analyze(module, (3, 4), device="cpu").layers


ON_ZEROS = "counted in one run on zeros; where values decide what the module does, another image may cost otherwise"


def test_such_a_module_can_be_analysed_on_zeros() -> None:
    report = analyze(nn.Sequential(nn.Conv2d(3, 2, 1), Asks()), (3, 4, 4), device="cpu")
    assert report.macs == 6 * 16
    assert "aten.sum" in [row.operator for row in report.uncounted]
    assert report.notes == (ON_ZEROS,)


class Nothing(nn.Module):
    def forward(self, _x: Tensor) -> None:
        return None


class Constant(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.ones(len(x))


@pytest.mark.parametrize("module", [nn.Identity(), nn.Sequential(nn.Dropout()), Nothing(), Constant()])
def test_a_module_that_computes_nothing_is_told_so(module: nn.Module) -> None:
    note = f"there is nothing to count: {type(module).__name__} computes nothing from its input or its weights"
    report = analyze(module, (3, 4, 4))
    assert (report.layers, report.notes) == ((), (note,))
    assert analyze(module, (3, 4, 4), device="cpu").notes == (note, ON_ZEROS)


def test_a_usual_report_has_no_notes() -> None:
    assert analyze(nn.ReLU(), (3, 4, 4)).notes == ()


def test_zeros_need_weights() -> None:
    assert one_line(sketched("lenet5"), (1, 28, 28), device="cpu") == (
        "device='cpu' needs a module with weights, got one without memory; build it outside sketch()"
    )


@pytest.mark.parametrize(("shape", "got"), [((), "none"), ((0, 3, 3), "0 x 3 x 3"), ((3, -1, 2), "3 x -1 x 2")])
def test_a_shape_without_pixels(shape: tuple[int, ...], got: str) -> None:
    assert one_line(nn.ReLU(), shape) == f"input_shape must have sizes of at least 1, got {got}"


@pytest.mark.parametrize(
    ("shape", "got"), [("abc", "'abc'"), (None, "None"), (5, "5"), ((3, 64.0, 64), "(3, 64.0, 64)")]
)
def test_what_is_no_shape(shape: Any, got: str) -> None:
    assert one_line(nn.ReLU(), shape) == f"input_shape must be whole numbers such as (3, 224, 224), got {got}"


def test_a_shape_beyond_what_torch_can_number() -> None:
    words = "input_shape must have at most 281,474,976,710,656 numbers, got 3 x 100,000,000 x 100,000,000"
    assert one_line(nn.ReLU(), (3, 10**8, 10**8)) == words


@pytest.mark.parametrize("sizes", [torch.Size((3, 4)), [3, 4], np.array([3, 4])])
def test_a_shape_may_be_any_sequence_of_whole_numbers(sizes: Any) -> None:
    assert analyze(nn.ReLU(), sizes).input_shape == (3, 4)


@pytest.mark.parametrize(
    ("given", "got"), [(5, "5"), ("resnet50", "'resnet50'"), (nn.ReLU, "<class 'torch.nn.modules.activation.ReLU'>")]
)
def test_what_is_no_module(given: Any, got: str) -> None:
    assert one_line(given, (3,)) == f"module must be an nn.Module, got {got}"


@pytest.mark.parametrize(
    ("device", "got"),
    [("cup", "'cup'; did you mean 'cpu'?"), (None, "'None'"), (torch.device("cuda", 1), "'cuda:1'"), (3, "'3'")],
)
def test_an_unknown_device(device: Any, got: str) -> None:
    assert one_line(nn.ReLU(), (3,), device=device) == f"device must be one of meta, cpu, got {got}"


@pytest.mark.parametrize("name", ["meta", "cpu"])
def test_a_device_may_be_one_of_torchs(name: str) -> None:
    assert analyze(nn.ReLU(), (3,), device=torch.device(name)) == analyze(nn.ReLU(), (3,), device=name)


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
