import subprocess
import sys
from importlib import import_module, metadata

import pytest

import convwise

HEAVY = ("torch", "numpy", "onnx", "onnxruntime", "PIL", "scipy", "sklearn", "matplotlib", "jinja2", "typer", "rich")


def run(script: str) -> str:
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.strip()


def test_importing_convwise_imports_nothing_heavy() -> None:
    assert run(f"import sys, convwise; print([name for name in {HEAVY} if name in sys.modules])") == "[]"


def test_a_classifier_is_loaded_without_torch() -> None:
    script = "import sys, convwise; convwise.load; print([n for n in ('torch', 'onnx', 'sklearn') if n in sys.modules])"
    assert run(script) == "[]"


def test_networks_are_described_without_torch() -> None:
    script = "import sys; from convwise import networks, weights; networks.names(); print('torch' in sys.modules)"
    assert run(script) == "False"


@pytest.mark.parametrize("name", convwise.__all__)
def test_every_public_name_is_there(name: str) -> None:
    home = import_module(f"convwise.{convwise._HOME[name]}")
    assert getattr(convwise, name) is getattr(home, name)


def test_all_is_the_table_and_dir_tells_it() -> None:
    assert sorted(convwise._HOME) == sorted(convwise.__all__)
    assert dir(convwise) == sorted([*convwise.__all__, "__version__"])


def test_another_name_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match=r"^module 'convwise' has no attribute 'fti'$"):
        _ = convwise.fti


def test_the_version_is_the_distribution_s() -> None:
    assert metadata.version("convwise") == convwise.__version__
