"""A classifier: network, preprocessing and class names in one folder, which predicts without torch."""

from .folder import Architecture, load, save
from .predicting import Classifier, ImageInput, Prediction

__all__ = ["Architecture", "Classifier", "ImageInput", "Prediction", "load", "save"]
