"""How a network is judged by the images that choose the epoch."""

import math

import pytest
import torch
from torch import Tensor, nn

from convwise.training.batches import Images
from convwise.training.judging import Judge

N = 1000


class Logits(nn.Module):
    """The images are the logits, times a number."""

    def __init__(self, times: float) -> None:
        super().__init__()
        self.times = times

    def forward(self, x: Tensor) -> Tensor:
        """(B, K) -> (B, K)."""
        return self.times * x


def judge() -> Judge:
    """A thousand images of four classes; a label is drawn by the probabilities that the image's logits give."""
    torch.manual_seed(0)
    logits = 2 * torch.randn(N, 4)
    labels = torch.multinomial(logits.softmax(dim=1), 1).squeeze(1)
    return Judge(Images(logits, labels, torch.ones(N)), lambda x: x, 64)


def test_a_network_that_is_too_sure_is_judged_as_it_is_after_its_temperature() -> None:
    found, right = judge().score(Logits(1))
    for times in (0.3, 5):
        same, equally_right = judge().score(Logits(times))
        assert same == pytest.approx(found, rel=2e-3)  # but for the prior, which a thousand images outweigh
        assert equally_right == right
    probs, labels = judge().probs(Logits(1)), judge().images.labels
    assert found == pytest.approx(-probs[torch.arange(N), labels].log().mean().item(), rel=5e-3)  # they are true
    assert right == (probs.argmax(dim=1) == labels).double().mean()


def test_what_is_no_number_has_no_score() -> None:
    assert all(map(math.isnan, judge().score(Logits(math.nan))))
