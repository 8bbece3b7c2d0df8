"""Every code block, command and link of every page does what it says, or is at least one that a2c would take."""

import ast
import dataclasses
import importlib
import importlib.util
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from pages import PAGES, ROOT, SAME_TO_RUN, blocks, codes, headings, is_run, links, run, source
from pymdownx.slugs import slugify

import a2c
from a2c import cli
from a2c.commands.completion import Completion
from a2c.config import Config
from a2c.presets import NO_FIT, fit_beside_preset

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

MINE = 'environment = "CartPole-v1"\n[settings]\ngamma = 0.98\n'
OTHERS = {"cd", "echo", "export", "gcc", "mlflow", "printf", "ray", "source", "visualdl", "wandb"}
"""Programs of others, which a page may name without more ado."""
LANGUAGES = {"c", "json", "python", "sh", "text", "toml"}
EXTRAS = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"])
TARGETS = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))

every_page = pytest.mark.parametrize("page", PAGES, ids=[page.name for page in PAGES])


def of_language(page, *languages):
    return [block for block in blocks(page) if block.language in languages and block.check != "output"]


def commands(block):
    """Its lines of a shell, those that go on joined, without comments: words of each, and the line."""
    for line in block.text.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        if words:
            yield words, line


# -- commands --


def fit(*arguments):
    """What fits an environment, or nothing where it is not on this machine."""
    try:
        return fit_beside_preset(*arguments)
    except (a2c.UserError, a2c.EnvError):
        return NO_FIT


@pytest.fixture
def parsed(monkeypatch, tmp_path, capsys):
    """Takes a command line as `a2c` does, but for what the verb does."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.toml").write_text(MINE)
    for kind in cli._VERBS.values():
        if kind is not Completion:  # which the command line does itself
            monkeypatch.setattr(kind, "run", lambda self: 0)
    for module in ("train", "tune", "benchmark"):
        monkeypatch.setattr(f"a2c.commands.{module}.fit_beside_preset", fit)

    def parse(words):
        capsys.readouterr()
        words = ["mine.toml" if word.endswith(".toml") else word for word in words]
        code = cli.main(words)
        assert code == 0, f"a2c {shlex.join(words)}\n{capsys.readouterr().err}"

    return parse


def check(words, line, parsed):
    """One command of a page, by the program that it calls.

    Raises:
        AssertionError: It is not one that works.
    """
    if "&&" in words:
        here = words.index("&&")
        check(words[:here], line, parsed)
        check(words[here + 1 :], line, parsed)
        return
    for sign in ("|", ">", "2>", "<"):
        words = words[: words.index(sign)] if sign in words else words
    program, *rest = words
    if program == "a2c":
        parsed(rest)
    elif program.endswith("python") or program == "python3":
        of_python(rest)
    elif program.endswith("pip"):
        of_pip(rest)
    elif program == "make":
        assert set(rest) <= TARGETS, line
    else:
        assert program in OTHERS or program.startswith("./"), line


def of_python(words):
    """`python -m module --flag`: the module exists and knows the flag; `python file.py`: so does the file."""
    if words[0] == "-m" and words[1] == "venv":
        return
    if words[:2] == ["-m", "pip"]:
        of_pip(words[2:])
    elif words[0] == "-m":
        spec = importlib.util.find_spec(words[1])
        assert spec is not None, words
        if spec.submodule_search_locations:
            spec = importlib.util.find_spec(f"{words[1]}.__main__")
        text = Path(spec.origin).read_text(encoding="utf-8")
        for flag in filter(lambda word: word.startswith("--"), words[2:]):
            assert f'"{flag}"' in text, f"{words[1]} has no {flag}"
    else:
        assert (ROOT / words[0]).exists() or words[0] in ("policy.py",), words


def of_pip(words):
    """`pip install`: extras of ours exist, and files that are named."""
    assert words[0] == "install", words
    for word, before in zip(words[1:], words, strict=False):
        if before == "-r":
            assert (ROOT / word).exists(), word
        if extras := re.fullmatch(r"(?:\.|a2c)\[(.*)\]", word):
            assert set(extras[1].split(",")) <= EXTRAS, word


@every_page
def test_every_command_is_one_that_works(page, parsed):
    for block in of_language(page, "sh"):
        if is_run(page) and block.check != "commands only":
            continue  # It is run, below.
        for words, line in commands(block):
            try:
                check(words, line, parsed)
            except (AssertionError, IndexError) as error:
                raise AssertionError(f"{page.name}:{block.line}: {line}\n{error}") from error


FLAGS = {
    name: {f"--{field.name.replace('_', '-')}" for field in dataclasses.fields(kind)}
    | {f"--no-{field.name.replace('_', '-')}" for field in dataclasses.fields(kind)}
    | (
        {f"--{field.name.replace('_', '-')}" for field in dataclasses.fields(Config)}
        if name in cli._WITH_PRESET
        else set()
    )
    | (
        {f"--no-{field.name.replace('_', '-')}" for field in dataclasses.fields(Config)}
        if name in cli._WITH_PRESET
        else set()
    )
    | {"--help"}
    for name, kind in cli._VERBS.items()
}


@every_page
def test_verbs_and_flags_within_lines_exist(page):
    known = set().union(*FLAGS.values()) | {"--version"}
    for line, code in codes(page):
        words = code.split()
        where = f"{page.name}:{line}: {code}"
        if words[:1] == ["a2c"] and len(words) > 1 and not words[1].startswith("-"):
            assert words[1] in FLAGS, where
            for word in words[2:]:
                assert not word.startswith("--") or word == "--" or word.partition("=")[0] in FLAGS[words[1]], where
        elif re.match(r"--\w", code):
            assert words[0].partition("=")[0] in known, where
        elif words[:1] == ["make"] and len(words) > 1:
            assert words[1] in TARGETS, where
        elif words[:2] == ["python", "-m"] and words[2] != "pip":
            of_python(words[1:])
        elif words[:2] == ["pip", "install"]:
            of_pip([word.strip("\"'") for word in words[1:]])


# -- programs --


def names_of_ours(text):
    """What a program takes from a2c: dotted names, and the settings it gives to what trains."""
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "a2c":
            yield from (f"{node.module}.{name.name}" for name in node.names)
        elif isinstance(node, ast.Import):
            yield from (name.name for name in node.names if name.name.split(".")[0] == "a2c")
        elif isinstance(node, ast.Attribute) and ast.unparse(node).startswith("a2c."):
            yield ast.unparse(node)
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("a2c.train", "a2c.Training"):
            settings = {field.name for field in dataclasses.fields(Config)} | {"preset", "progress"}
            unknown = {keyword.arg for keyword in node.keywords} - settings - {None}
            assert not unknown, unknown


def look_up(name):
    """A dotted name of ours.

    Raises:
        AttributeError: There is none.
    """
    module, rest = name, []
    while importlib.util.find_spec(module.partition(".")[0]) and module not in sys.modules:
        try:
            importlib.import_module(module)
        except ImportError:
            module, _, last = module.rpartition(".")
            rest.insert(0, last)
    found = sys.modules[module]
    for one in rest:
        found = getattr(found, one)


def programs(page, folder):
    """Runs the Python of a page from top to bottom, and gives its names."""
    names = {}
    for block in of_language(page, "python"):
        where = f"{page.name}, line {block.line}"
        if block.check.startswith("file "):
            (folder / block.check.removeprefix("file ")).write_text(block.text)
        elif block.check.startswith("compiles, because "):
            compile(block.text, where, "exec")
            for name in names_of_ours(block.text):
                look_up(name)
        else:
            assert not block.check, f"{where}: what is {block.check!r}?"
            exec(compile(block.text, where, "exec"), names)
    return names


TO_RUN = [page for page in PAGES if page not in SAME_TO_RUN]
RUN_ELSEWHERE = {"python", "paddle", "tutorial", "own_networks"}
"""The page on Python below; the others in `test_tutorial.py` and `test_docs_own_networks.py`."""


@pytest.mark.parametrize(
    "page",
    [page for page in TO_RUN if not is_run(page) and page.name.partition(".")[0] not in RUN_ELSEWHERE],
    ids=lambda page: page.name,
)
def test_python_runs_from_top_to_bottom(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    programs(page, tmp_path)


def test_the_page_on_python_says_what_comes_of_it(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names = programs(ROOT / "docs" / "python.md", tmp_path)
    assert names["training"].run.summary["inexact_because"] == ["rewards were changed by hand"]
    assert "500.0" in capsys.readouterr().out


@pytest.mark.skipif(os.name != "posix", reason="these pages are for a shell")
@pytest.mark.parametrize(
    "page",
    [page for page in TO_RUN if is_run(page) and page.name.partition(".")[0] != "walk"],
    ids=lambda page: page.name,
)
def test_a_page_that_is_to_be_run_runs(page, tmp_path):
    run(page, tmp_path)


# -- everything else --


@every_page
def test_blocks_are_of_a_language_that_is_checked(page):
    for block in blocks(page):
        assert block.language in LANGUAGES, f"{page.name}:{block.line}: {block.language}"


@every_page
def test_json_and_toml_can_be_read(page):
    for block in of_language(page, "json"):
        json.loads(block.text)
    for block in of_language(page, "toml"):
        settings = tomllib.loads(block.text).get("settings", {})
        assert set(settings) <= {field.name for field in dataclasses.fields(Config)}, f"{page.name}:{block.line}"


@pytest.mark.skipif(shutil.which("gcc") is None, reason="there is no gcc here")
@every_page
def test_c_is_c(page, tmp_path):
    for block in of_language(page, "c"):
        (tmp_path / "block.c").write_text(block.text)
        subprocess.run(["gcc", "-std=c99", "-fsyntax-only", "-Wall", tmp_path / "block.c"], check=True)


def anchors(page):
    slug = slugify(case="lower")
    from_docstrings = re.findall(r"^::: (.+)$", source(page), re.MULTILINE)
    return {slug(re.sub(r"[`*]", "", heading), "-") for heading in headings(page)} | set(from_docstrings)


@every_page
def test_links_lead_somewhere(page):
    for line, target in links(page):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), f"{page.name}:{line}: {target}"
        if anchor and there.suffix == ".md":
            assert anchor in anchors(there), f"{page.name}:{line}: {target}"


def test_what_is_looked_for_would_be_found(tmp_path, parsed):
    page = tmp_path / "bad.md"
    page.write_text("    a2c train CartPole-v1 --leaning-rate 1\n\n```sh\nmake coffee\npython -m a2c.nothing\n```\n")
    for block in blocks(page):
        for words, line in commands(block):
            with pytest.raises(AssertionError):
                check(words, line, parsed)
    for bad in ("import a2c\na2c.nothing()", "from a2c import nothing"):
        with pytest.raises(AttributeError):
            [look_up(name) for name in names_of_ours(bad)]
