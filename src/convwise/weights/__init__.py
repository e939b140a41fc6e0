"""Where published weights are, what they expect of an image, and how their names map onto ours, both ways.

Importing this package, and asking what there is, does not import torch.
"""

from .build import load, network, to_theirs
from .own import serialise
from .published import Published, Used
from .table import all_published, find, given, is_file, published

__all__ = [
    "Published", "Used", "all_published", "find", "given", "is_file", "load", "network", "published", "serialise",
    "to_theirs",
]  # fmt: skip
