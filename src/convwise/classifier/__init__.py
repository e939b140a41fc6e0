"""A classifier: network, preprocessing and class names in one folder, which predicts without torch."""

from .folder import Architecture, Artefacts, load, save
from .predicting import Classifier, ImageInput, Prediction

__all__ = ["Architecture", "Artefacts", "Classifier", "ImageInput", "Prediction", "load", "save"]
