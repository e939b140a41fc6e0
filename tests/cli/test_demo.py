"""`convwise demo` from start to end."""

from pathlib import Path

import pytest

from .harness import Convwise


@pytest.mark.slow
def test_the_demo_ends_with_its_report_and_the_next_command(convwise: Convwise, tmp_path: Path) -> None:
    found = convwise("demo", "--quiet").ends(0)
    assert found.err == ""
    report, following = found.out.rstrip().splitlines()[-2:]
    assert report == "The report: convwise-demo/runs/1/report.html"
    assert following.endswith("convwise fit photos/")
    assert (tmp_path / report.removeprefix("The report: ")).read_text().startswith("<!doctype html>")
    digits = tmp_path / "convwise-demo" / "digits"
    assert len(list(digits.glob("*/*.png"))) == 1797
    assert "convwise-demo/runs/2" in convwise("demo", "--quiet").ends(0).out
