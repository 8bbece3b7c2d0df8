"""The tutorial as a notebook is the page, and runs from top to bottom."""

import json
import os
import re
import subprocess
import sys

import pytest

from studies.notebook import ROOT, code_of, notebook, notebooks, pieces

PAGES = notebooks()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_notebook_is_its_page(page):
    target = PAGES[page]
    assert target.read_text(encoding="utf-8") == notebook(page, target), "python -m studies.notebook builds it again"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_its_links_lead_somewhere_and_its_outputs_are_not_committed(page):
    target = PAGES[page]
    cells = json.loads(target.read_text(encoding="utf-8"))["cells"]
    text = "".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    links = re.findall(r"\]\((?!https?://|#)([^)#]+)", text)
    assert len(links) > 30
    for link in links:
        assert (target.parent / link).exists(), link
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in cells)


def test_every_language_has_the_same_code():
    without_comments = [re.sub(r" *#.*", "", "\n".join(code_of(page))) for page in PAGES]
    strings = r"\"[^\"]*\""
    assert len({re.sub(strings, "", code) for code in without_comments}) == 1


def test_what_a_block_shows_is_left_out_and_all_else_is_there(tmp_path):
    page = tmp_path / "docs" / "page.md"
    page.parent.mkdir()
    page.write_text(
        "# One, Two\n\n[up](#one-two)\n\n![kept](kept.svg)\n\n```python\nprint(1)\n```\n\n```text\n1\n```\n\n"
        "<!-- notebook\nextra()\n-->\n\n![drawn](drawn.svg)\n\nSee [two](two.md#here) and [out](https://a.b/c).\n"
    )
    cells = json.loads(notebook(page, tmp_path / "books" / "page.ipynb"))["cells"]
    assert [(cell["cell_type"], "".join(cell["source"])) for cell in cells] == [
        ("markdown", "# One, Two\n\n[up](#One,-Two)"),
        ("markdown", "![kept](../docs/kept.svg)"),
        ("code", "print(1)"),
        ("code", "extra()"),
        ("markdown", "See [two](../docs/two.md#here) and [out](https://a.b/c)."),
    ]
    assert [piece.kind for piece in pieces(page.read_text())] == [
        "text", "picture", "code", "printed", "extra", "picture", "text"
    ]  # fmt: skip


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_it_runs_from_top_to_bottom_and_shows_pictures(page, tmp_path):
    # In a process of its own, in whose kernel warnings of Jupyter's are none of ours.
    script = (
        "import nbformat, nbclient, sys\n"
        "book = nbformat.read(sys.argv[1], 4)\n"
        "nbclient.NotebookClient(book, timeout=300, kernel_name='python3').execute()\n"
        "nbformat.write(book, sys.argv[2])\n"
    )
    done = tmp_path / "done.ipynb"
    # An interrupted search for the package would find an older one: ours is the one that is tested.
    environment = os.environ | {"PYTHONPATH": str(ROOT), "JUPYTER_PLATFORM_DIRS": "1"}
    said = subprocess.run(
        [sys.executable, "-c", script, str(PAGES[page]), str(done)],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert said.returncode == 0, said.stderr[-3000:]
    cells = [cell for cell in json.loads(done.read_text())["cells"] if cell["cell_type"] == "code"]
    shown = [kind for cell in cells for output in cell["outputs"] for kind in output.get("data", {})]
    assert shown.count("image/png") == 2
    assert shown.count("image/gif") == 1
    printed = ["".join(o["text"]) for cell in cells for o in cell["outputs"] if o["output_type"] == "stream"]
    expected = [piece.text for piece in pieces(page.read_text(encoding="utf-8")) if piece.kind == "printed"]
    assert set(expected) <= set(printed)
    assert not any(output.get("name") == "stderr" for cell in cells for output in cell["outputs"])
