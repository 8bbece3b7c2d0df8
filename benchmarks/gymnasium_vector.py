"""Runs Gymnasium's own tests of vector environments on ours.

python -m benchmarks.gymnasium_vector --tests PATH      PATH is a checkout of Gymnasium (wheel and sdist have no tests)
python -m benchmarks.gymnasium_vector --table           the tables of docs/gymnasium_vector.md, from the results

The tests are unchanged. When they construct one of Gymnasium's vector environments, they get one of ours instead, made
by the first of their callables, always with SAME_STEP autoreset.
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import gymnasium
import pytest

import a2c
from a2c.envs.compiled.classic import classic_control
from benchmarks.measure import keep, kept

_NAME = "gymnasium_vector"
_PAGE = Path(__file__).parent.parent / "docs" / f"{_NAME}.md"
_FORM, _OUTCOMES = "A2C_GYMNASIUM_VECTOR_FORM", "A2C_GYMNASIUM_VECTOR_OUTCOMES"

_FILES = [
    f"tests/vector/test_{name}.py"
    for name in (
        "async_vector_env",
        "autoreset_mode",
        "observation_mode",
        "sync_vector_env",
        "vector_env",
        "vector_env_info",
        "vector_wrapper",
    )
]
"""The tests that construct vector environments; the others test functions of Gymnasium's that we use unchanged."""

FORMS = ("here and in workers", "compiled")
"""`SyncVectorEnv` becomes environments in this process and `AsyncVectorEnv` workers; or both become the compiled form,
where there is one, and what has none is skipped."""

REASONS = (
    (
        "",
        r"is not supported",
        "There are no numbers in it, or no fixed number of them: `Text`, `Graph`, `Sequence`, `OneOf`, a space of your "
        "own. It is refused in a sentence when the environments are made, unless something beside it can be seen. So "
        "are actions of a `Box` of bits, which is a `MultiBinary`",
    ),
    ("", r"AutoresetMode\.|'_final_obs'", "Autoreset is `SAME_STEP` and nothing else: every row is a step"),
    (
        "test_same_step_final_obs|test_autoreset_within_step",
        r"",
        "The test's environment counts from its seed, or from 0 without one. Here every reset has a seed, since "
        "episodes are functions of it, and the count never comes to where the episode would end",
    ),
    (
        "",
        r"reset_async|reset_wait|timeout",
        "`reset_async`, `reset_wait` and timeouts of single calls are `AsyncVectorEnv`'s; here an environment that "
        "hangs is replaced after `env_timeout_seconds`",
    ),
    ("", r"Regex pattern did not match", "It is refused as there, in a sentence of ours"),
    (
        "ObservationModes|check_spaces|return_info|seeds_set_at_retrieval",
        r"",
        "`make_envs` takes one callable, which makes all environments, so that their spaces are the same; these tests "
        "give different ones",
    ),
    (
        "",
        r"a2c\.errors\.EnvError",
        "What an environment raises comes as `a2c.EnvError`, with its own traceback, episode seed and step",
    ),
    ("", r"compiled form of .* has no attribute|has no attribute 'gravity'", "The dynamics in compiled form are fixed"),
)
"""Why a test fails, by its name and the text of its error; the first entry that fits counts."""


# -- inside pytest, which has this module for a plugin --


def pytest_configure(config: pytest.Config) -> None:
    """Puts ours in the place of Gymnasium's, before a test imports them."""
    form = os.environ.get(_FORM)
    if form is not None:
        vars(gymnasium.vector)["SyncVectorEnv"] = _ours(form, vectorization="local")
        vars(gymnasium.vector)["AsyncVectorEnv"] = _ours(form, vectorization="workers", isolate_envs=True)


def _ours(form: str, **placement: Any) -> Callable[..., Any]:
    def construct(env_fns: Sequence[Callable[[], gymnasium.Env[Any, Any]]], **_: Any) -> Any:
        if form != "compiled":
            return a2c.make_envs(env_fns[0], len(env_fns), **placement)
        env = env_fns[0]()
        name = env.spec.id if env.spec is not None else ""
        env.close()
        if classic_control(name) is None or env.render_mode is not None:
            pytest.skip("there is no compiled form")
        return a2c.make_envs(name, len(env_fns), vectorization="compiled")

    return construct


_outcomes: dict[str, tuple[str, str]] = {}


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Keeps how a test went, and what its error said."""
    if report.when == "call" or not report.passed:
        crash = getattr(report.longrepr, "reprcrash", None)
        said = crash.message if crash is not None else str(report.longrepr or "")
        _outcomes[report.nodeid] = report.outcome, " ".join(said.split())[:400]


def pytest_sessionfinish() -> None:
    """Hands the outcomes to whoever started pytest."""
    if _OUTCOMES in os.environ:
        Path(os.environ[_OUTCOMES]).write_text(json.dumps(_outcomes))


# -- outside --


def run(tests: Path, form: str) -> dict[str, Any]:
    """Runs the tests in a folder of its own.

    Args:
        tests: A checkout of Gymnasium.
        form: One of FORMS.

    Returns:
        The names of those that passed and were skipped, and what the errors of the others said.
    """
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(tests / "tests", Path(folder, "tests"))
        outcomes = Path(folder, "outcomes.json")
        paths = [folder, str(Path(__file__).parent.parent), os.environ.get("PYTHONPATH", "")]
        environment = {_FORM: form, _OUTCOMES: str(outcomes), "PYTHONPATH": os.pathsep.join(filter(None, paths))}
        command = [sys.executable, "-m", "pytest", "-q", "--tb=no", "--rootdir", folder, "-p", "no:cacheprovider"]
        subprocess.run(
            [*command, "-p", f"benchmarks.{_NAME}", *_FILES],
            cwd=folder,
            env=os.environ | {"SDL_VIDEODRIVER": "dummy"} | environment,
            check=False,
        )
        found = json.loads(outcomes.read_text().replace(f"{folder}/", ""))
    by_outcome: dict[str, Any] = {"passed": [], "skipped": [], "failed": {}}
    for name, (outcome, said) in found.items():
        if outcome == "failed":
            by_outcome["failed"][name] = said
        else:
            by_outcome[outcome].append(name)
    return by_outcome


def why(name: str, said: str) -> str:
    """Why a test fails.

    Raises:
        ValueError: Nobody has said why yet.
    """
    for of_name, of_error, reason in REASONS:
        if re.search(of_name, name) and re.search(of_error, said):
            return reason
    raise ValueError(f"{name} fails for no known reason: {said}")


def table(results: dict[str, Any]) -> str:
    """How many passed, and of each test that does not, how many of its cases fail and why."""
    lines = []
    for form in FORMS:
        outcomes = results["outcomes"][form]
        counts = ", ".join(f"{len(outcomes[outcome])} {outcome}" for outcome in ("passed", "failed", "skipped"))
        lines += [f"**{form.capitalize()}**: {counts}.", "", "| why | tests (failing cases) |", "|---|---|"]
        failing: dict[str, collections.Counter[str]] = {}
        for name, said in outcomes["failed"].items():
            short = name.rpartition("/")[2].split("[")[0].split("::")[-1]
            failing.setdefault(why(name, said), collections.Counter())[short] += 1
        for reason, names in failing.items():
            cases = ", ".join(f"`{name}` ({count})" for name, count in names.items())
            lines.append(f"| {reason}. | {cases} |")
        lines.append("")
    return "\n".join(lines).strip()


def with_tables(page: str) -> str:
    """The page with the tables of the committed results."""
    results = kept(_NAME)
    begin, end = "<!-- table -->\n", "\n<!-- end of table -->"
    before, _, rest = page.partition(begin)
    return f"{before}{begin}{table(results)}{end}{rest.partition(end)[2]}"


def main() -> None:
    """Runs the tests, or writes the page's tables."""
    parser = argparse.ArgumentParser(description="Gymnasium's own tests of vector environments, run on ours.")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--tests", type=Path, metavar="PATH", help="a checkout of Gymnasium")
    what.add_argument("--table", action="store_true", help="write the tables of the page from the results")
    arguments = parser.parse_args()
    if arguments.tests is not None:
        command = f"python -m benchmarks.{_NAME} --tests PATH"
        keep(_NAME, command, {"outcomes": {form: run(arguments.tests, form) for form in FORMS}})
        return
    _PAGE.write_text(with_tables(_PAGE.read_text()))


if __name__ == "__main__":
    main()
