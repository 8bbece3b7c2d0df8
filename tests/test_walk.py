"""The walk, pasted into a shell in an empty folder: every command does what the page says of it.

In each language, unless what would be pasted is the same to a shell.
"""

import os
import re
import shutil

import pytest
from pages import ROOT, SAME_TO_RUN, blocks, links, run

ENDS = {"en": ".md", "zh": ".zh.md"}
WALKS = [page for page in (ROOT / "docs" / f"walk{ending}" for ending in ENDS.values()) if page not in SAME_TO_RUN]


@pytest.mark.parametrize("ending", ENDS.values(), ids=ENDS)
def test_from_the_home_page_one_link_leads_to_the_walk_and_others_to_how_to_install_and_run(ending):
    home, steps = ROOT / "docs" / f"index{ending}", {f"{name}{ending}" for name in ("install", "first_run", "walk")}
    assert steps <= {link.text for link in links(home)}
    for step in steps:  # Each begins with something to type.
        assert blocks(home.with_name(step))[0].text.startswith(("a2c ", "pip install "))


@pytest.mark.parametrize("page", WALKS, ids=lambda page: page.name)
@pytest.mark.skipif(os.name != "posix" or shutil.which("gcc") is None, reason="the page compiles with gcc, in a shell")
def test_the_walk_goes_as_the_page_says(page, tmp_path):
    said = run(page, tmp_path)
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
