"""The least that a Python program must do to classify a photo: onnxruntime, numpy and Pillow, nothing checked.

Takes network.onnx, a photo, the resolution and the share that the crop keeps; prints the number of the class and its
probability.
"""

import sys

import numpy as np
import onnxruntime
from PIL import Image

graph, photo, resolution, crop = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
image: Image.Image = Image.open(photo)
side = int(min(image.size) * crop)
left, top = (image.width - side) // 2, (image.height - side) // 2
image = image.convert("RGB").crop((left, top, left + side, top + side))
pixels = np.asarray(image.resize((resolution, resolution), Image.Resampling.BICUBIC))
session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
logits = session.run(["logits"], {"pixels": pixels[None]})[0][0]
odds = np.exp(logits - logits.max())
print(int(odds.argmax()), float(odds.max() / odds.sum()))
