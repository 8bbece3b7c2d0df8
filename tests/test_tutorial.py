"""The tutorial and the page on Paddle run and print what they say; beside formulas stand their functions."""

import ast
import re
import shutil

import matplotlib.pyplot as plt
import paddle_tutorial
import pytest

import a2c
from a2c.commands.export import export
from a2c.exports.layer import paddle
from studies.notebook import ROOT, pieces

DOCS = ROOT / "docs"
TUTORIALS = sorted(DOCS.glob("tutorial*.md"))


def run_blocks(page, folder, monkeypatch, capsys):
    """Runs the blocks of a page, one after another, in a folder, and looks at what they print. The names they leave."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(plt, "show", lambda: plt.close("all"))
    names, count = {}, 0
    capsys.readouterr()
    printed = ""
    for piece in pieces(page.read_text(encoding="utf-8")):
        if piece.kind == "code":
            exec(compile(piece.text, str(page), "exec"), names)
            printed, count = capsys.readouterr().out, count + 1
            names["printed"] = names.get("printed", "") + printed
        elif piece.kind == "printed":
            assert piece.text == printed
    return names, count


@pytest.mark.parametrize("page", TUTORIALS, ids=lambda page: page.name)
def test_every_block_of_the_tutorial_runs_and_prints_what_is_said(page, tmp_path, monkeypatch, capsys):
    names, count = run_blocks(page, tmp_path, monkeypatch, capsys)
    assert count == 10
    assert names["greedy"].mean > 195  # It learns, on whatever machine.
    assert len(names["seen"]) == len(names["came"]) + 1 == len(names["advantage"]) + 1
    assert (names["run"].path / "episode.gif").read_bytes()[:4] == b"GIF8"


def test_every_block_about_paddle_runs_on_a_run_of_its_own(quick, tmp_path, monkeypatch, capsys):
    run = a2c.train("CartPole-v1", **{**quick, "hidden_sizes": (16,), "activation": "relu"})
    shutil.copytree(run.path, tmp_path / "RUN")
    export(a2c.load(run), "pdparams", tmp_path / "RUN" / "policy.pdparams")
    network = paddle_tutorial.ActorCritic(4, 2, 16)
    network.set_state_dict(paddle.load(str(tmp_path / "RUN" / "policy.pdparams")))
    paddle.save(network.state_dict(), str(tmp_path / "model.pdparams"))
    names, count = run_blocks(DOCS / "paddle.md", tmp_path, monkeypatch, capsys)
    assert count == 2
    assert names["action"] == names["policy"].act([0.0, 0.1, -0.02, 0.0])
    assert names["state"].keys() == dict(network.state_dict()).keys()
    assert (tmp_path / "model.safetensors").exists()


# -- what is said of the code --


def defined(path):
    """The names that a module defines, as `function`, `Class` and `Class.member`."""
    found = set()

    def visit(body, prefix):
        for one in body:
            if isinstance(one, ast.FunctionDef | ast.ClassDef):
                found.add(prefix + one.name)
                if isinstance(one, ast.ClassDef):
                    visit(one.body, f"{one.name}.")
            elif isinstance(one, ast.AnnAssign):
                found.add(prefix + one.target.id)

    visit(ast.parse(path.read_text(encoding="utf-8")).body, "")
    return found


@pytest.mark.parametrize("page", TUTORIALS, ids=lambda page: page.name)
def test_every_function_that_the_tutorial_links_to_stands_where_the_link_leads(page):
    links = re.findall(r"\[`([^`]+)`\]\((\.\./[^)#]+\.py)#([^)]+)\)", page.read_text(encoding="utf-8"))
    assert len(links) > 20
    for text, target, anchor in links:
        assert anchor in defined((page.parent / target).resolve()), f"{target}#{anchor}"
        assert text.split(".")[-1].split("(")[0] == anchor.split(".")[-1], f"[{text}] leads to {anchor}"


@pytest.mark.parametrize("page", TUTORIALS, ids=lambda page: page.name)
def test_beside_every_formula_stands_the_function_that_computes_it(page):
    parts = page.read_text(encoding="utf-8").split("$$")
    assert len(parts) % 2 == 1
    formulas = len(parts) // 2
    assert formulas >= 8
    for formula, behind in zip(parts[1::2], parts[2::2], strict=True):
        beside = behind.strip().split("\n\n")[0]
        assert re.search(r"\[`[^`]+`\]\(\.\./a2c/[^)]+\.py#", beside), formula


@pytest.mark.parametrize("page", TUTORIALS, ids=lambda page: page.name)
def test_the_pictures_of_the_tutorial_are_there_and_can_be_read_on_a_dark_page(page):
    pictures = re.findall(r"^!\[[^\]]+\]\(([^)]+)\)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(pictures) == 5
    for name in pictures:
        content = (page.parent / name).read_bytes()
        if name.endswith(".svg"):
            # Either a white card as the first thing drawn, or boxes of colours of their own.
            assert b"fill: #ffffff" in content or b'fill="#fff"' in content, name
