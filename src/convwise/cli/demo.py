"""`convwise demo`."""

from pathlib import Path
from typing import Annotated

from typer import Option

from .output import Quiet, interval, progress, say


def demo(
    out: Annotated[Path, Option(metavar="DIR", help="Folder for the images and the run.")] = Path("convwise-demo"),
    quiet: Quiet = False,
) -> None:
    """Do the main job on images that are already here.

    1,797 handwritten digits are written as PNG files, one folder a class, and from there on go the way of any user's
    photos, with two candidates: a softmax layer on frozen EfficientNet-Lite0 features, and LeNet-5 from scratch.
    """
    from ..classifier import load
    from ..data.samples import list_folder
    from ..data.threads import usable_cpus
    from ..evaluation import evaluate
    from ..fitting import Options, fit
    from .fit import command_line, show

    digits = out / "digits"
    write_digits(digits)
    say(f"1. wrote 1,797 handwritten digits to {digits}, one folder a class")
    run_out = next(path for n in range(1, 10_000) if not (path := out / "runs" / str(n)).exists())
    say("2. convwise fit, with two candidates")
    options = Options(network=("efficientnet_lite0", "lenet5"))
    run = fit(digits, options, out=run_out, command=command_line(), track=progress(quiet))
    show(run)
    say(f"3. convwise evaluate {run.path} {digits}")
    classifier, listing = load(run.path), list_folder(digits)
    found = evaluate(classifier, listing, threads=usable_cpus(), track=progress(quiet))
    say(f"   {interval(*found.summary.top1)} of {found.summary.n} images right, split `{found.split}`")
    photo = next(s for s in found.samples if s.label == "7")
    prediction = classifier.predict(listing.path(photo))[0]
    say(f"4. convwise predict {run.path} {listing.path(photo)}")
    say(f"   {prediction.label}  {100 * prediction.prob:.1f} %")
    say()
    say(f"The report: {run.report}")
    say("Next, your own photos, one folder a class: convwise fit photos/")


def write_digits(folder: Path) -> None:
    """Write scikit-learn's digits, 8 x 8 pixels of 17 levels, as PNG files; those that are there stay."""
    import numpy as np
    from PIL import Image
    from sklearn.datasets import load_digits

    from ..runtime.cache import aside

    digits = load_digits()
    for i, (levels, label) in enumerate(zip(digits.images, digits.target, strict=True)):
        path = folder / str(label) / f"{i:04d}.png"
        if not path.exists():
            with aside(path) as file:
                Image.fromarray((levels * 255 / 16).round().astype(np.uint8)).save(file, "PNG")
