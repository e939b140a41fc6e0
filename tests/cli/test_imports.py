"""What each command imports: a warm command starts at once because it loads nothing that it does not use."""

from pathlib import Path

import pytest

from .harness import Convwise, in_child

HEAVY = (
    "torch", "torchvision", "sklearn", "scipy", "matplotlib", "cv2", "onnx", "onnxruntime", "rich", "jinja2", "sqlite3",
    "PIL", "numpy",
)  # fmt: skip
TELL = f"""
import atexit, sys
atexit.register(lambda: print("imported", *(name for name in {HEAVY!r} if name in sys.modules), file=sys.stderr))
"""
PREDICT = {"numpy", "PIL", "onnxruntime"}


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("--help", set()),
        ("fit --help", set()),
        ("--version", set()),
        ("networks", set()),
        ("networks --json", {"numpy", "PIL"}),
        ("conv --input 28x28x192 --filters 32 --kernel 5", set()),
        ("augment PHOTOS --out sheet.png", {"numpy", "PIL", "cv2"}),
        ("predict RUN PHOTO", PREDICT),
        ("predict RUN PHOTO --heatmaps maps", PREDICT | {"sqlite3"}),
        ("scan PHOTOS", {"numpy", "PIL", "onnxruntime", "sqlite3"}),
        ("evaluate RUN PHOTOS", PREDICT | {"sqlite3"}),
        ("evaluate RUN PHOTOS --views 10 --with RUN", PREDICT | {"sqlite3"}),
        ("fit PHOTOS --out out", PREDICT | {"sqlite3", "onnx", "jinja2"}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_warm_command_imports_just_what_it_uses(
    convwise: Convwise, run: Path, photos: Path, command: str, expected: set[str]
) -> None:
    names = {"RUN": run, "PHOTOS": photos, "PHOTO": photos / "disc" / "0.jpg"}
    found = convwise.python("-c", in_child(TELL), *(names.get(word, word) for word in command.split())).ends(0)
    (line,) = (line for line in found.err.splitlines() if line.startswith("imported"))
    assert set(line.split()[1:]) == expected
