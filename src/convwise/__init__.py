"""convwise: a folder of labelled images in, the most accurate convolutional classifier that fits a budget out."""

__version__ = "0.1.0.dev0"
