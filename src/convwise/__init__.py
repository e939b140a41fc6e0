"""convwise: a folder of labelled images in, the most accurate convolutional classifier that fits a budget out.

    import convwise

    run = convwise.fit("photos")                      # -> runs/1
    classifier = convwise.load("runs/1")
    classifier.predict("new.jpg")[0].label

    network = convwise.network("resnet50", num_classes=10, weights=True)  # a torch module with published weights

Nothing heavy is imported before it is used.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .classifier import Classifier, Prediction, load
    from .errors import ConvwiseError
    from .evaluation import evaluate
    from .fitting import Options, Run, fit
    from .weights import network

__version__ = "0.1.0.dev0"

__all__ = ["Classifier", "ConvwiseError", "Options", "Prediction", "Run", "evaluate", "fit", "load", "network"]

_HOME = {
    "Classifier": "classifier", "ConvwiseError": "errors", "Options": "fitting", "Prediction": "classifier",
    "Run": "fitting", "evaluate": "evaluation", "fit": "fitting", "load": "classifier",
    "network": "weights",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    """Import a public name where it is first used (PEP 562)."""
    from importlib import import_module

    if name in ("cost", "metrics", "networks", "weights"):
        return import_module(f".{name}", __name__)
    if name not in _HOME:
        raise AttributeError(f"module 'convwise' has no attribute {name!r}")
    return getattr(import_module(f".{_HOME[name]}", __name__), name)


def __dir__() -> list[str]:
    """Everything public."""
    return sorted([*__all__, "__version__"])
