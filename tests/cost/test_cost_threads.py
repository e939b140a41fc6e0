"""What runs beside an analysis, or in another one, does not feel it."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import Tensor, nn

from convwise.cost import analyze


def test_the_random_numbers_of_others_go_on() -> None:
    inside, drawn = threading.Event(), threading.Event()

    class Waits(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            inside.set()
            assert drawn.wait(60)
            return x + 1

    torch.manual_seed(0)
    expected = torch.rand(4)
    torch.manual_seed(0)
    thread = threading.Thread(target=analyze, args=(Waits(), (3,)))
    thread.start()
    assert inside.wait(60)
    during = torch.rand(2)
    drawn.set()
    thread.join()
    assert torch.equal(torch.cat((during, torch.rand(2))), expected)


def test_a_module_that_draws_its_path_is_the_callers_to_seed() -> None:
    class Draws(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            for _ in range(int(torch.randint(1000, ()))):
                x = x + 1
            return x

    torch.manual_seed(3)
    first = analyze(Draws(), (3,))
    assert analyze(Draws(), (3,)) != first
    torch.manual_seed(3)
    assert analyze(Draws(), (3,)) == first


def test_without_memory_no_switch_of_torch_is_touched(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(torch._C, "_set_mkldnn_enabled", refuse)
    monkeypatch.setattr(torch.backends.mha, "set_fastpath_enabled", refuse)
    # 5 steps, 4 gates of 8, from 6 inputs and 8 of the last state
    assert analyze(nn.LSTM(6, 8, batch_first=True), (5, 6)).macs == 5 * 4 * 8 * (6 + 8)
    encoder = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
    # 5 tokens: four projections of 16 x 16, two layers of 16 x 32, and two products of 5 x 5 tokens
    assert analyze(encoder, (5, 16)).macs == 5 * (4 * 16 * 16 + 2 * 16 * 32) + 2 * 5 * 5 * 16
    assert analyze(encoder, (5, 16), device="cpu").macs == analyze(encoder, (5, 16)).macs


def test_threads_are_served_one_after_another() -> None:
    running, most = 0, 0

    class Counts(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            nonlocal running, most
            running += 1
            most = max(most, running)
            time.sleep(0.05)
            running -= 1
            return x + 1

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda module: analyze(module, (3,)), [Counts() for _ in range(4)]))
    assert most == 1


def test_a_module_may_analyze_another_one() -> None:
    class Curious(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x + analyze(nn.Linear(3, 2), (3,)).macs

    assert analyze(Curious(), (3,)).macs == 0
