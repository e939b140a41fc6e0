"""The casebook as data: one file per paper, read without torch."""

from . import alexnet, efficientnet, googlenet, lenet, mobilenet_v1, mobilenet_v2, nin, resnet, vgg
from .entry import Accuracy, Argument, Entry, Paper, Printed, shared

__all__ = ["ENTRIES", "Accuracy", "Argument", "Entry", "Paper", "Printed", "shared"]

# Oldest paper first.
ENTRIES: dict[str, Entry] = {
    **lenet.ENTRIES,
    **alexnet.ENTRIES,
    **nin.ENTRIES,
    **vgg.ENTRIES,
    **googlenet.ENTRIES,
    **resnet.ENTRIES,
    **mobilenet_v1.ENTRIES,
    **mobilenet_v2.ENTRIES,
    **efficientnet.ENTRIES,
}
