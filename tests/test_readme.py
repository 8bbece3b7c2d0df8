"""The tables of the README and the pages are those of the committed results; the file map is that of the tree."""

import re
import subprocess
from pathlib import Path

import pytest

from benchmarks.atari import with_tables as atari_tables
from benchmarks.curves_page import PAGES as CURVES
from benchmarks.curves_page import with_table as curves_table
from benchmarks.environments_walked import with_table as environments_table
from benchmarks.exports import with_table as exports_table
from benchmarks.gymnasium_vector import with_tables as gymnasium_tables
from benchmarks.learning_page import with_tables as learning_tables
from benchmarks.memory import with_tables as memory_tables
from benchmarks.minigrid import with_tables as minigrid_tables
from benchmarks.natural import with_table as natural_table
from benchmarks.tables import PAGES, with_tables
from benchmarks.tuned import with_table as tuned_table
from faults.table import with_tables as reliability_tables

ROOT = Path(__file__).parent.parent


def tracked():
    done = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        pytest.skip("not a git checkout")
    return [Path(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("page", PAGES)
def test_the_tables_of_a_page_are_those_of_the_committed_results(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    assert with_tables(page, text) == text


@pytest.mark.parametrize("readme", ["README.md", "README.zh-CN.md"])
def test_the_readme_is_short(readme):
    assert len((ROOT / readme).read_text(encoding="utf-8").splitlines()) < 150


def test_the_tables_of_the_page_on_results_are_those_of_the_committed_results():
    page = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    assert learning_tables(page) == page


def test_the_tables_of_the_page_on_reliability_are_those_of_the_committed_results():
    page = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
    assert reliability_tables(page) == page


def test_the_tables_of_the_page_on_gymnasiums_tests_give_a_reason_for_every_failure():
    page = (ROOT / "docs" / "gymnasium_vector.md").read_text(encoding="utf-8")
    assert gymnasium_tables(page) == page


def test_the_table_of_the_page_on_environments_is_that_of_the_committed_results():
    page = (ROOT / "docs" / "environments.md").read_text(encoding="utf-8")
    assert environments_table(page) == page


def test_the_table_of_the_page_on_the_natural_step_is_that_of_the_committed_results():
    page = (ROOT / "docs" / "natural_step.md").read_text(encoding="utf-8")
    assert natural_table(page) == page


def test_the_table_of_the_page_on_exports_is_that_of_the_committed_results():
    page = (ROOT / "docs" / "export.md").read_text(encoding="utf-8")
    assert exports_table(page) == page


def test_the_tables_of_the_page_on_memory_are_those_of_the_committed_results():
    page = (ROOT / "docs" / "memory.md").read_text(encoding="utf-8")
    assert memory_tables(page) == page


@pytest.mark.parametrize("name", CURVES)
def test_the_table_of_the_page_on_curves_is_that_of_the_committed_results(name):
    page = (ROOT / "docs" / name).read_text(encoding="utf-8")
    assert curves_table(name, page) == page


def test_the_table_of_the_page_on_tuning_is_that_of_the_committed_results():
    page = (ROOT / "docs" / "tune.md").read_text(encoding="utf-8")
    assert tuned_table(page) == page


@pytest.mark.parametrize(("name", "tables"), [("atari", atari_tables), ("minigrid", minigrid_tables)])
def test_the_tables_of_the_page_on_a_family_are_those_of_the_committed_results(name, tables):
    page = (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8")
    assert tables(page) == page


def test_the_file_map_names_every_file_and_no_other():
    files = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").split("## The files")[1]
    named = set(re.findall(r"^ *([\w./]+\.(?:py|md|txt))", files, re.MULTILINE))
    described = {
        path
        for path in tracked()
        if (path.suffix == ".py" and path.parts[0] in ("a2c", "benchmarks", "examples", "faults", "studies", ".site"))
        or (path.suffix == ".md" and path.parts[0] == "docs" and not path.stem.endswith(".zh"))
    }
    for path in described:
        assert path.name in named or f"{path.parent.name}/{path.name}" in named, path
    existing = {name for path in tracked() for name in (path.name, f"{path.parent.name}/{path.name}")}
    assert named <= existing


def test_the_changelog_and_the_version_agree():
    import a2c

    assert f"## {a2c.__version__}" in (ROOT / "CHANGELOG.md").read_text()
