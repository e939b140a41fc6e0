"""What a command takes from the shell and back, in wall time: help, one photo, a fit with and without a cache.

The peer of `predict` is a lower bound, not a rival: a script that imports onnxruntime, numpy and Pillow, loads the same
graph, classifies the same photo and checks nothing. After `predict` and after the warm fit, a second process looks
whether torch was imported.
"""

import json
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

import common
from common import CONVWISE, HERE, Row, child_environment

CLAIM = "startup"
FLOORS = {"help": 0.3, "predict": 0.8, "warm_fit": 3.0, "cold_fit": 15.0}  # seconds
WORDS = {
    "help": "`convwise --help`",
    "predict": "`convwise predict`, one photo; peer: the least that Python needs",
    "warm_fit": "`convwise fit` on the photos of ants and bees, features cached",
    "cold_fit": "`convwise fit` on the photos of ants and bees, nothing cached",
}
LOADED = """
import sys
from convwise.cli import main
try:
    main()
finally:
    sys.stderr.flush()
    print("\\ntorch" if "torch" in sys.modules else "\\nnone")
"""


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("--repetitions", type=int, default=10, metavar="N")
    parser.add_argument("--cold-repetitions", type=int, default=3, metavar="N")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = common.unpack("ants_bees", folder / "data", CLAIM)
        measure(folder, data, args.repetitions, args.cold_repetitions)


def measure(folder: Path, data: Path, repetitions: int, cold_repetitions: int) -> None:
    seconds: dict[str, list[float]] = {name: [] for name in [*FLOORS, "peer"]}
    for i in range(cold_repetitions):
        fit = fit_command(data, folder / f"cold{i}")
        seconds["cold_fit"].append(wall([*CONVWISE, *fit], folder / f"cache{i}"))
    cache, classifier = folder / "cache0", folder / "cold0" / "classifier"
    photo = min((data / "val").rglob("*.jpg"))
    record = json.loads((classifier / "classifier.json").read_text())
    crop = record["preprocessing"]
    predict = ["predict", str(folder / "cold0"), str(photo)]
    bare = [sys.executable, str(HERE / "peers" / "bare_predict.py"), str(classifier / "network.onnx"), str(photo)]
    bare += [str(crop["resolution"]), str(crop["crop"])]
    for i in range(repetitions):
        seconds["help"].append(wall([*CONVWISE, "--help"], cache))
        seconds["predict"].append(wall([*CONVWISE, *predict], cache))
        seconds["peer"].append(wall(bare, cache))
        seconds["warm_fit"].append(wall([*CONVWISE, *fit_command(data, folder / f"warm{i}")], cache))
    imports_torch = {
        "predict": imported_torch(predict, cache), "warm_fit": imported_torch(fit_command(data, folder / "look"), cache)
    }  # fmt: skip
    check_same_answer(predict, bare, record["classes"], cache)
    report(seconds, imports_torch, n=sum(1 for path in data.rglob("*") if path.is_file()))


def fit_command(data: Path, out: Path) -> list[str]:
    return ["fit", str(data), "--out", str(out), "--json", "--quiet"]


def wall(command: list[str], cache: Path) -> float:
    return common.run(command, child_environment(CONVWISE_CACHE=cache)).wall_seconds


def imported_torch(arguments: list[str], cache: Path) -> bool:
    """Run a command in a process that tells whether torch was imported."""
    out = common.run([sys.executable, "-c", LOADED, *arguments], child_environment(CONVWISE_CACHE=cache)).out
    return out.split()[-1] == "torch"


def check_same_answer(predict: list[str], bare: list[str], classes: list[str], cache: Path) -> None:
    environment = child_environment(CONVWISE_CACHE=cache)
    ours: dict[str, Any] = common.run([*CONVWISE, *predict, "--json"], environment).result["predictions"][0]
    number, prob = common.run(bare, environment).out.split()
    assert ours["label"] == classes[int(number)], "the peer gives another class"
    assert abs(ours["prob"] - float(prob)) < 0.05, "the peer gives another probability"


def report(seconds: dict[str, list[float]], imports_torch: dict[str, bool], *, n: int) -> None:
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    ratio = medians["peer"] / medians["predict"]
    rows = []
    for name, floor in FLOORS.items():
        met = medians[name] <= floor and not imports_torch.get(name, False)
        peer = (f"{medians['peer']:.2f} s", f"{ratio:.2f}x") if name == "predict" else ("", "")
        rows.append(Row(WORDS[name], f"{medians[name]:.2f} s", *peer, f"{floor:g} s", met))
    common.report(
        CLAIM,
        rows,
        ours={f"{name}_seconds": medians[name] for name in FLOORS}
        | {"imports_torch": imports_torch, "slowest": {name: max(seconds[name]) for name in FLOORS}},
        peer={"predict_seconds": medians["peer"]},
        ratio={"predict": ratio},
        n=n,
        repetitions={name: len(values) for name, values in seconds.items()},
    )


if __name__ == "__main__":
    main()
