"""docs/walk.md, pasted into a shell in an empty folder: every command does what the page says of it."""

import os
import re
import shutil

import pytest
from pages import ROOT, run


@pytest.mark.skipif(os.name != "posix" or shutil.which("gcc") is None, reason="the page compiles with gcc, in a shell")
def test_the_walk_goes_as_the_page_says(tmp_path):
    said = run(ROOT / "docs" / "walk.md", tmp_path)
    trained, looked, compared, compared_again, tuned, *_, in_python, in_c = said
    assert re.search(r"final +3 ", trained)
    assert looked.split() == ["first.html", "first.png"]
    assert "These runs are too few to tell: all of B's end above all of A's" in " ".join(compared.split())
    assert "B is better" in compared_again
    assert "preset   " in tuned
    assert in_python.split() == in_c.split()
    assert in_python.split()[0] in "12"  # it pumps
    assert in_python.split()[1] == "0"  # it does not
    assert (tmp_path / "place" / "first.html").stat().st_size > 10_000
