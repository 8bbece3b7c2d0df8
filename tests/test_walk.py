"""docs/walk.md, pasted into a shell in an empty folder: every command does what the page says of it."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parent.parent / "docs" / "walk.md"


def blocks():
    return re.findall(r"```(python|sh)\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.skipif(os.name != "posix" or shutil.which("gcc") is None, reason="the page compiles with gcc, in a shell")
def test_the_walk_goes_as_the_page_says(tmp_path):
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "a2c").write_text(f'#!/bin/sh\nexec {sys.executable} -m a2c "$@"\n')
    (programs / "a2c").chmod(0o755)
    place = tmp_path / "place"
    place.mkdir()
    environment = os.environ | {
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(PAGE.parent.parent),
        "MPLBACKEND": "agg",
    }
    (kind, tank), *rest = blocks()
    assert kind == "python"
    (place / "tank.py").write_text(tank)
    said = []
    for kind, block in rest:
        line = ["bash", "-e", "-c", block] if kind == "sh" else [sys.executable, "-c", block]
        done = subprocess.run(line, cwd=place, env=environment, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, f"{block}\n{done.stdout}\n{done.stderr}"
        said.append(done.stdout)
    trained, looked, compared, compared_again, tuned, *_, in_python, in_c = said
    assert re.search(r"final +3 ", trained)
    assert looked.split() == ["first.html", "first.png"]
    assert "These runs are too few to tell: all of B's end above all of A's" in " ".join(compared.split())
    assert "B is better" in compared_again
    assert "preset   " in tuned
    assert in_python.split() == in_c.split()
    assert in_python.split()[0] in "12"  # it pumps
    assert in_python.split()[1] == "0"  # it does not
    assert (place / "first.html").stat().st_size > 10_000
