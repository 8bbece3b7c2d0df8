"""Tries other people's environments as a new user would, each package in a new virtual environment.

python -m benchmarks.environments_walked [PACKAGE ...]
python -m benchmarks.environments_walked --table
"""

from __future__ import annotations

import argparse
import concurrent.futures
import contextlib
import fcntl
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.measure import keep, kept
from benchmarks.packages import PACKAGES, Package, Walked

ROOT = Path(__file__).parent.parent
_NAME = "environments_walked"
_PAGE = ROOT / "docs" / "environments.md"
_COMMAND = f"python -m benchmarks.{_NAME}"
_SECONDS = 90
"""Processor time that each process of a command may take."""
_PATIENCE = 600
"""Wall-clock seconds that a command may take; more than processor time, since the machine may be busy."""
_INSTALL_SECONDS = 900
_EVALUATIONS = ("--eval-episodes", "2", "--final-eval-episodes", "2")
"""Fewer than by default: where an episode has 2,000 steps, ten of them are ten times the training."""

_ALONE = """
import importlib, json, sys, time
import gymnasium
module, _, name = sys.argv[1].rpartition(":")
kwargs = json.loads(sys.argv[2])
found = getattr(importlib.import_module(module), name, None)
if name not in gymnasium.registry and found is None:
    for register in ("register_envs", "register_environments", "register_env", "register_all", "register"):
        try:
            getattr(sys.modules[module], register, lambda: None)()
        except TypeError:
            pass  # Gymnasium's own, imported.
env = gymnasium.make(name, **kwargs) if name in gymnasium.registry else found(**kwargs)
print(json.dumps([str(env.observation_space), str(env.action_space)]), flush=True)
env.action_space.seed(0)
env.reset(seed=0)
start = time.perf_counter()
steps = 0
while steps < 200 and time.perf_counter() - start < 10:
    steps += 1
    if any(env.step(env.action_space.sample())[2:4]):
        env.reset()
print(steps / (time.perf_counter() - start))
"""
"""The environment with Gymnasium alone: its spaces, and how many steps it takes a second."""

_VERSIONS = """
import importlib.metadata, json
found = importlib.metadata.distributions()
print(json.dumps({one.name.lower().replace("_", "-"): one.version for one in found}))
"""


class Done(NamedTuple):
    """What a command came to."""

    outcome: str
    """done; refused: exit code 2 and one sentence; raised: 1 and the environment's error; crashed; too long."""
    said: str
    """The sentence; for a crash, the last lines of output."""
    seconds: float
    """By the clock."""


def run(command: list[str], folder: Path, seconds: float = _PATIENCE) -> tuple[Done, str, str]:
    """Runs a command with a time limit; also gives what it wrote to both streams."""
    outside = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    outside.setdefault("MUJOCO_GL", "egl")  # As our own error message recommends without a display.
    start = time.perf_counter()
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=outside,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,
        preexec_fn=_limited if seconds == _PATIENCE else None,
    )
    try:
        out, errors = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        out, errors = process.communicate()
        return Done("too long", _end(errors), seconds), out, errors
    return Done(*_judged(process.returncode, errors), time.perf_counter() - start), out, errors


def _limited() -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (_SECONDS, _SECONDS + 5))


def _judged(code: int, errors: str) -> tuple[str, str]:
    """The outcome, and what was said about it."""
    lines = [line for line in errors.strip().splitlines() if line.strip()]
    if code == 0:
        return "done", ""
    if code in (-signal.SIGXCPU, -signal.SIGKILL):  # A process may catch the first signal; the second follows.
        return "too long", _end(errors)
    said = [line for line in lines if line.startswith("a2c: ")]
    if code == 2 and said and "Traceback" not in errors:
        return "refused", said[-1].removeprefix("a2c: ")
    if code == 1 and re.search(r"^environment \d+ (raised|gave|has|does)", errors.replace("a2c: ", ""), re.MULTILINE):
        return "raised", _end(errors)
    return "crashed", f"exit code {code}: {_end(errors)}"


def _end(errors: str) -> str:
    return "\n".join(line for line in errors.strip().splitlines() if line.strip())[-1500:]


def _installing(python: Path) -> list[str]:
    """pip, or uv where that is installed: it installs the same, in a tenth of the time."""
    uv = shutil.which("uv")
    if uv is not None:
        return [uv, "pip", "install", "--quiet", "--python", str(python)]
    return [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet"]


def walk(package: Package) -> dict[str, Any]:
    """Installs a package and a2c into a new virtual environment, and trains on its environments."""
    with tempfile.TemporaryDirectory(prefix=f"walk-{package.name}-") as place:
        folder = Path(place)
        python = folder / "venv" / "bin" / "python"
        venv.create(folder / "venv", with_pip=False, symlinks=True)
        result: dict[str, Any] = {"about": package.about, "debian": package.debian}
        start = time.perf_counter()
        for what in (package.pip, ("--editable", str(ROOT))):  # Whoever wants to train has the environment already.
            done, _, errors = run([*_installing(python), *what], folder, _INSTALL_SECONDS)
            if done.outcome != "done":
                said = [line for line in errors.splitlines() if "rror" in line] or [done.said]
                return result | {
                    "installed": False,
                    "because": package.because or _anywhere(said[-1].strip(), folder)[:300],
                }
        result |= {"installed": True, "install_seconds": round(time.perf_counter() - start, 1)}
        found = json.loads(run([str(python), "-c", _VERSIONS], folder)[1])
        names = (package.name, "gymnasium", "numpy")
        result["versions"] = {name: found[name] for name in names if name in found}
        if package.module:
            (folder / "mine.py").write_text(package.module)
        result["environments"] = [walk_one(one, python, folder) for one in package.walked]
        return result


def walk_one(walked: Walked, python: Path, folder: Path) -> dict[str, Any]:
    """Trains on one environment, evaluates, trains further and records."""
    a2c = str(python.parent / "a2c")
    shutil.rmtree(folder / "runs", ignore_errors=True)
    kwargs = walked.flags[walked.flags.index("--env-kwargs") + 1] if "--env-kwargs" in walked.flags else "{}"
    result: dict[str, Any] = {"env_id": walked.env_id, "flags": list(walked.flags)}
    alone, out, _ = run([str(python), "-c", _ALONE, walked.env_id, kwargs], folder)
    for line in out.splitlines():
        with contextlib.suppress(ValueError, TypeError):  # What else it prints.
            match json.loads(line):
                case [str(observations), str(actions)]:
                    result |= {"observations": observations[:300], "actions": actions[:300]}
                case float(rate):
                    result["steps_per_second_alone"] = round(rate, 1)
    if alone.outcome != "done":
        result["alone"] = {
            "outcome": alone.outcome,
            "said": _anywhere(alone.said.strip(), folder).splitlines()[-1][:300],
        }
    train = [a2c, "train", walked.env_id, "--total-steps", "2000", "--no-pictures", *_EVALUATIONS, *walked.flags]
    result["train"], out, errors = _verb([*train, "--run-dir", "runs"], folder)
    result["notes"] = [line.removeprefix("a2c: ") for line in errors.splitlines() if line.startswith("a2c: ")]
    result["not_exact"] = "".join(line for line in out.splitlines() if line.startswith("not exact"))
    runs = sorted(Path(path).parent for path in folder.glob("runs/**/config.json") if path.parent.name != "policy")
    if result["train"]["outcome"] == "done" and runs:
        verbs = {
            # An environment of which a process can hold only one is evaluated alone.
            "evaluate": ["--episodes", "2", *(["--eval-num-envs", "1"] if "--isolate-envs" in walked.flags else [])],
            "resume": ["--total-steps", "3000", "--no-pictures"],
            "record": ["--to", "episode.gif", "--max-steps", "100"],
        }
        for verb, flags in verbs.items():
            result[verb], _, _ = _verb([a2c, verb, str(runs[-1]), *flags], folder)
    print(f"{walked.env_id}: {verdict(result)}", flush=True)
    return result


def _verb(command: list[str], folder: Path) -> tuple[dict[str, Any], str, str]:
    done, out, errors = run(command, folder)
    said = _anywhere(done.said, folder)
    kept = {"outcome": done.outcome, "seconds": round(done.seconds, 1)} | ({"said": said} if said else {})
    return kept, _anywhere(out, folder), _anywhere(errors, folder)


def _anywhere(text: str, folder: Path) -> str:
    """Where something lies is a matter of the machine."""
    text = text.replace(str(folder), "...").replace(str(ROOT), "...")
    return re.sub(rf"{re.escape(str(Path.home()))}/[^\s'\",:]*/", ".../", text)


def verdict(result: dict[str, Any]) -> str:
    """ "trains", or what came instead."""
    outcome = result["train"]["outcome"]
    if outcome != "done":
        return outcome + (", as without a2c" if "alone" in result else "")
    names = ("evaluate", "resume", "record")
    others = [f"{verb} {result[verb]['outcome']}" for verb in names if result[verb]["outcome"] != "done"]
    return "; ".join(["trains", *others])


@contextlib.contextmanager
def _results() -> Iterator[dict[str, Any]]:
    """The packages' results so far, kept when the block ends; several processes may walk at a time."""
    with open(Path(tempfile.gettempdir(), f"{_NAME}.lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        packages = kept(_NAME).get("packages", {})
        yield packages
        order = [package.name for package in PACKAGES]
        packages = {name: packages[name] for name in order if name in packages}
        keep(_NAME, _COMMAND, {"packages": packages})


def table(results: dict[str, Any]) -> str:
    """A line for every environment."""
    packages = results["packages"]
    environments = [one for package in packages.values() for one in package.get("environments", [])]
    trained = sum(one["train"]["outcome"] == "done" for one in environments)
    broken = sum(one["train"]["outcome"] != "done" and "alone" in one for one in environments)
    installed = sum(package["installed"] for package in packages.values())
    running = len(environments) - broken
    lines = [
        f"{len(packages)} packages, of which {installed} install. Of their {len(environments)} environments {broken} "
        "do not run with Gymnasium alone, either, here and without a network. Of the other "
        f"{running}, **{trained} train**.",
        "",
        "| package | environment | observations | actions | came to | seconds | steps a second alone |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, package in packages.items():
        if not package["installed"]:
            lines.append(f"| {name} | | | | does not install: {_cell(package['because'])} | | |")
            continue
        for one in package["environments"]:
            version = package["versions"].get(name, "")
            verbs = [one[verb] for verb in ("train", "evaluate", "resume", "record") if verb in one]
            said = [_last(verb["said"]) for verb in verbs if "said" in verb and verb["outcome"] != "too long"]
            if one["train"]["outcome"] == "raised" and "alone" in one:
                said = [one["alone"]["said"]]
            came_to = ": ".join([verdict(one), *map(_cell, said[:1])])
            spaces = [_code(one.get(kind, ""), 80) for kind in ("observations", "actions")]
            called = _code(" ".join([one["env_id"], *one["flags"]]), 120)
            rate = f"{one['steps_per_second_alone']:,.0f}" if "steps_per_second_alone" in one else ""
            lines.append(
                f"| {name} {version} | {called} | {' | '.join(spaces)} | {came_to} | {one['train']['seconds']:.0f} "
                f"| {rate} |"
            )
    return "\n".join(lines)


def _last(said: str) -> str:
    """The sentence, or the error at the end of a traceback."""
    lines = [
        line
        for line in said.splitlines()
        if re.match(r"(a2c: )?(environment \d+ gave|[\w.]+(Error|Exception)\b)", line)
    ]
    return lines[-1].removeprefix("a2c: ") if lines else said


def _code(text: str, most: int) -> str:
    """As code, in which brackets are neither links nor tags."""
    return f"`{_cell(text, most).replace('&lt;', '<')}`" if text else ""


def _cell(text: str, most: int = 300) -> str:
    text = re.sub(r" at 0x[0-9a-f]+|\x1b?\[[0-9;]*m|`", "", " ".join(text.split()))
    text = text.replace("|", "\\|").replace("<", "&lt;")
    return text if len(text) <= most else f"{text[: most - 3]}..."


def with_table(page: str) -> str:
    """The page with the table of the committed results."""
    results = kept(_NAME)
    begin, end = "<!-- table -->\n", "<!-- end of table -->"
    before, _, rest = page.partition(begin)
    return f"{before}{begin}{table(results)}\n{end}{rest.partition(end)[2]}"


def main() -> None:
    """Walks, or writes the page's table."""
    parser = argparse.ArgumentParser(description="Other people's environments, used as a new user would.")
    parser.add_argument("packages", nargs="*", metavar="PACKAGE", help="of benchmarks/packages.py; all of them")
    parser.add_argument("--table", action="store_true", help="write the table of the page from the results")
    parser.add_argument("--jobs", type=int, default=1, help="packages at a time")
    arguments = parser.parse_args()
    if arguments.table:
        _PAGE.write_text(with_table(_PAGE.read_text()))
        return
    chosen = [package for package in PACKAGES if not arguments.packages or package.name in arguments.packages]

    def one(package: Package) -> None:
        result = walk(package)
        if not result["installed"]:
            print(f"{package.name} does not install: {result['because']}", flush=True)
        with _results() as packages:
            packages[package.name] = result

    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        list(pool.map(one, chosen))


if __name__ == "__main__":
    main()
