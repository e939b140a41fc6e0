"""Where published weights are, what they expect of an image, and how their names map onto ours, both ways.

Importing this package, and asking what there is, does not import torch.
"""

from .build import load, network, to_theirs
from .published import Published
from .table import all_published, find, published

__all__ = ["Published", "all_published", "find", "load", "network", "published", "to_theirs"]
