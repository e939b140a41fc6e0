"""The tables and pictures in the documentation are those that the casebook gives."""

import subprocess
import sys
from pathlib import Path

MAKE = Path(__file__).parents[1] / "docs" / "make.py"


def test_tables_and_pictures_are_up_to_date() -> None:
    done = subprocess.run([sys.executable, MAKE, "--check"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr
