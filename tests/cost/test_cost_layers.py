"""Rows of a report: names in the words of cuts, shapes, bytes and arithmetic intensity."""

import pytest
import torch
from torch import Tensor, nn

from convwise import networks
from convwise.cost import CostReport, LayerCost, analyze, sketch


def report_of(name: str) -> CostReport:
    with sketch():
        network = networks.create(name)
    return analyze(network, networks.input_shape(name))


def layer(report: CostReport, name: str) -> LayerCost:
    (found,) = (row for row in report.layers if row.name == name)
    return found


def test_layers_are_named_in_the_words_of_cuts() -> None:
    report = report_of("mobilenet_v2")
    names = [row.name for row in report.layers]
    assert names[:3] == ["stem.conv", "stem.norm", "stem.act"]
    found = layer(report, "stage3.block2.branch.expand.conv")  # the module stages.2.1.branch.expand.conv
    assert (found.stage, found.kind) == ("stage3", "Conv2d")
    assert found.input_shape == (32, 28, 28)  # facts, section 2: row 6, 32, 3, 2 of Table 2
    assert found.output_shape == (6 * 32, 28, 28)
    assert names[-1] == "head.3"
    assert report.layers[-1].stage == "head"


def test_a_block_that_adds_is_a_layer_of_its_own() -> None:
    report = report_of("mobilenet_v2")
    found = layer(report, "stage3.block2")
    assert (found.kind, found.params, found.macs, found.output_shape) == ("InvertedResidual", 0, 0, (32, 28, 28))
    assert found.moved_bytes == 3 * 4 * 32 * 28 * 28  # two summands read, one sum written
    assert found.activation_bytes == 0  # in place
    names = [row.name for row in report.layers]
    assert names.index("stage3.block2.branch.project.norm") + 1 == names.index("stage3.block2")


def test_stages_sum_their_layers() -> None:
    report = report_of("resnet18")
    assert [stage.name for stage in report.stages] == ["stem", "stage1", "stage2", "stage3", "stage4", "head"]
    # facts, section 2 and VGG's rule of halving: Table 1 of the paper
    assert [stage.output_shape for stage in report.stages] == [
        (64, 56, 56), (64, 56, 56), (128, 28, 28), (256, 14, 14), (512, 7, 7), (1000,)
    ]  # fmt: skip
    assert report.stages[1].macs == 4 * 56 * 56 * 64 * 64 * 9
    assert report.stages[1].params == 4 * (64 * 64 * 9 + 2 * 64)
    assert sum(stage.layers for stage in report.stages) == len(report.layers)
    for name in ("params", "macs", "weight_bytes", "activation_bytes"):
        assert sum(getattr(stage, name) for stage in report.stages) == getattr(report, name)


def test_stages_of_another_module_are_its_children() -> None:
    class Foreign(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU())
            self.fc = nn.Linear(4 * 4 * 4, 2)

        def forward(self, x: Tensor) -> Tensor:
            y: Tensor = self.fc(torch.flatten(self.body(x) * 2, 1))
            return y

    report = analyze(Foreign(), (3, 4, 4))
    assert [(row.name, row.stage) for row in report.layers] == [
        ("body.0", "body"), ("body.1", "body"), ("(Foreign)", "(Foreign)"), ("fc", "fc")
    ]  # fmt: skip
    assert [stage.name for stage in report.stages] == ["body", "(Foreign)", "fc"]


def test_a_stage_that_runs_again_later_has_one_row() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.act, self.conv = nn.ReLU(), nn.Conv2d(3, 3, 1)

        def forward(self, x: Tensor) -> Tensor:
            y: Tensor = self.act(self.conv(self.act(x)))
            return y

    report = analyze(Twice(), (3, 4, 4))
    assert [(stage.name, stage.layers) for stage in report.stages] == [("act", 2), ("conv", 1)]


def test_a_module_that_is_one_layer_is_named_by_its_kind() -> None:
    (found,) = analyze(nn.Linear(3, 2), (3,)).layers
    assert (found.name, found.stage) == ("(Linear)", "(Linear)")


def test_a_linear_layer_knows_the_map_that_it_reads_flattened() -> None:
    report = report_of("vgg16")
    first, second, _ = (row for row in report.layers if row.kind == "Linear")
    assert (first.input_shape, first.source_shape, first.output_shape) == ((25088,), (512, 7, 7), (4096,))
    assert second.source_shape == (4096,)


def test_intensity_is_macs_over_weights_inputs_and_outputs() -> None:
    network = nn.Sequential(nn.Conv2d(3, 8, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU())
    convolution, norm, relu = analyze(network, (3, 6, 6)).layers
    (linear,) = analyze(nn.Linear(128, 2), (128,)).layers
    macs = 4 * 4 * 8 * 27
    moved = 4 * (8 * 27 + 3 * 6 * 6 + 8 * 4 * 4)
    assert (convolution.macs, convolution.moved_bytes) == (macs, moved)
    assert convolution.intensity == macs / moved
    assert norm.moved_bytes == 4 * (2 * 8 + 2 * 8 * 4 * 4)
    assert (relu.moved_bytes, relu.intensity) == (4 * 2 * 8 * 4 * 4, 0.0)
    assert linear.intensity == pytest.approx(256 / (4 * (256 + 2 + 128 + 2)))


def test_an_operator_in_place_moves_what_it_reads_and_writes() -> None:
    layers = analyze(nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(inplace=True)), (3, 6, 6)).layers
    assert layers[1].moved_bytes == 4 * 2 * 8 * 4 * 4
    assert layers[1].output_shape == (8, 4, 4)


def test_what_a_layer_makes_and_uses_up_itself_is_not_moved() -> None:
    network = nn.LocalResponseNorm(5)  # ten operators
    (found,) = analyze(network, (8, 4, 4)).layers
    assert found.moved_bytes == 4 * 2 * 8 * 4 * 4
    assert found.activation_bytes > found.moved_bytes // 2


def test_what_a_layer_rewrites_of_its_own_is_not_moved() -> None:
    class Own(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return (2 * x).relu_().neg_()

    (found,) = analyze(Own(), (3, 4, 4)).layers
    assert found.moved_bytes == 4 * 2 * 48
    (lstm,) = analyze(nn.LSTM(6, 8, batch_first=True), (5, 6), device="cpu").layers
    assert lstm.moved_bytes == 4 * (lstm.params + 5 * 6 + 5 * 8 + 2 * 8)  # weights, input, output and last states


def test_a_layer_that_moves_nothing_has_no_intensity() -> None:
    (found,) = analyze(nn.Flatten(), (3, 4, 4)).layers
    assert (found.moved_bytes, found.intensity, found.activation_bytes) == (0, 0.0, 0)


def test_all_results_count_as_handed_on() -> None:
    class Two(nn.Module):
        def forward(self, x: Tensor) -> dict[str, object]:
            return {"double": 2 * x, "more": [x.sum(1), None]}

    (found,) = analyze(Two(), (3, 4, 4)).layers
    assert found.moved_bytes == 4 * (48 + 48 + 16)


def test_a_child_that_fails_and_is_replaced_leaves_no_trace() -> None:
    class Fragile(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.big, self.small = nn.Sequential(nn.Conv2d(3, 2, 9)), nn.Conv2d(3, 2, 1)

        def forward(self, x: Tensor) -> Tensor:
            try:
                y: Tensor = self.big(x)
            except Exception:
                y = self.small(x)
            return y.relu()

    report = analyze(Fragile(), (3, 4, 4))
    assert [(row.name, row.macs) for row in report.layers] == [("small", 2 * 3 * 16), ("(Fragile)", 0)]
    assert report.idle_params == 2 * 3 * 81 + 2


def test_modules_of_other_threads_are_not_taken_for_this_one() -> None:
    import threading

    shared = nn.ReLU()

    class Waits(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.shared, self.conv = shared, nn.Conv2d(3, 2, 1)

        def forward(self, x: Tensor) -> Tensor:
            other = threading.Thread(target=shared, args=(torch.zeros(3),))
            other.start()
            other.join()
            y: Tensor = self.conv(x)
            return y

    report = analyze(Waits(), (3, 4, 4))
    assert [row.name for row in report.layers] == ["conv"]
    assert report.uncounted == ()


def test_norms_and_pools_have_rows_so_that_a_stage_is_the_sum_of_its_rows() -> None:
    report = report_of("alexnet")
    made = {row.kind: row.activation_bytes for row in report.layers if row.stage == "stage1"}
    assert made["Conv2d"] == 4 * 96 * 55 * 55  # facts, section 2: 96 maps of 55 x 55, pooled to 27 x 27
    assert made["MaxPool2d"] == 4 * 96 * 27 * 27
    assert made["LocalResponseNorm"] >= made["Conv2d"]
    assert sum(made.values()) == report.stages[0].activation_bytes
