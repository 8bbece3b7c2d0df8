"""Writes the tables of both READMEs, and of the pages that no other command writes, from the committed results.

python -m benchmarks.tables
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.chinese import in_chinese
from benchmarks.learning_page import summary
from benchmarks.markers import filled
from benchmarks.masks import table as masks
from benchmarks.measure import kept
from benchmarks.optima import STEPS as OPTIMA
from benchmarks.optima import interval
from benchmarks.training import CASES as TRAINING_CASES
from benchmarks.training import result_name
from faults.results import RESULTS as FAULTS
from faults.table import KINDS

LIBRARIES = {
    "sb3": "Stable-Baselines3",
    "skrl_a2c": "skrl",
    "jax_a2c": "jitted JAX on gymnax, PureJaxRL style",
    "jax_tuned": "the same, tuned by hand for this CPU",
}

ROOT = Path(__file__).parent.parent


def optima() -> str:
    """What policies are worth beside the optimum; over seeds, mean and interval of the exact values."""
    lines = [
        "| environment | optimum | steps | best policy | final policy | lowest best | whole run |",
        "|---|---|---|---|---|---|---|",
    ]
    for env in OPTIMA:
        result = kept(f"optima-{env}")
        runs = result["runs"]
        digits = 1 if abs(result["optimum"]) > 10 else 2 if abs(result["optimum"]) > 1 else 4
        best, final = ([run[f"{which}_worth"] for run in runs] for which in ("best", "final"))
        cells = []
        for values in (best, final):
            mean, half = interval(values)
            cells.append(f"{mean:.{digits}f} ± {half:.{digits}f}")
        seconds = statistics.median(run["whole_seconds"] for run in runs)
        lines.append(
            f"| {env} | {result['optimum']:.{digits}f} | {runs[0]['steps']:,} | **{cells[0]}** | {cells[1]} "
            f"| {min(best):.{digits}f} | {seconds:.0f} s |"
        )
    return "\n".join(lines)


def training() -> str:
    """Whole runs beside other libraries."""
    lines = ["| work | library | steps per second (lowest to highest) | a2c is |", "|---|---|---|---|"]
    for case in TRAINING_CASES:
        result = kept(result_name(case))
        for name, rates in result["steps_per_second"].items():
            rate = f"{rates['median']:,.0f} ({min(rates['rounds']):,.0f} to {max(rates['rounds']):,.0f})"
            if name == "a2c":
                lines.append(f"| {case} | **a2c** | **{rate}** | |")
                continue
            ratio = result["ratios"][name]
            script, _, threads = name.partition(", ")
            times = f"**{ratio['median']:.1f} times** as fast ({ratio['lowest']:.1f} to {ratio['highest']:.1f})"
            lines.append(f"| | {LIBRARIES[script]}, {threads} | {rate} | {times} |")
    return "\n".join(lines)


def beside() -> str:
    """Whole runs beside other libraries, in a row for each kind of work: how many times as fast."""
    names = {
        "sb3": "Stable-Baselines3",
        "skrl_a2c": "skrl",
        "jax_a2c": "JAX, PureJaxRL style",
        "jax_tuned": "JAX, tuned by hand",
    }
    lines = [f"| work | a2c, steps per second | {' | '.join(names.values())} |", f"|---|---|{'---|' * len(names)}"]
    for case in TRAINING_CASES:
        result = kept(result_name(case))
        ratios = {name.partition(",")[0]: ratio["median"] for name, ratio in result["ratios"].items()}
        cells = [f"{ratios[name]:.1f} times" if name in ratios else "" for name in names]
        lines.append(f"| {case} | {result['steps_per_second']['a2c']['median']:,.0f} | {' | '.join(cells)} |")
    return "\n".join(lines)


def faults() -> str:
    """What faults came to over all environments: how many were made, and how many runs ended in the same bits."""
    made: dict[str, list[int]] = {}
    for path in sorted(FAULTS.glob("*.json")):
        for kind, outcome in json.loads(path.read_text()).get("kinds", {}).items():
            if (
                kind != "inexact"
            ):  # of environments whose episodes cannot be brought back; the page on reliability has them
                total = made.setdefault(kind, [0, 0, 0])
                for index, name in enumerate(("faults", "runs", "equal")):
                    total[index] += outcome[name]
    lines = ["| fault | faults | runs | ended in the bits of the undisturbed run |", "|---|---|---|---|"]
    for kind, label in KINDS.items():
        if kind in made:
            count, runs, equal = made[kind]
            lines.append(f"| {label} | {count:,} | {runs:,} | **{equal:,} of {runs:,}** |")
    return "\n".join(lines)


def ordinary() -> str:
    """Training on Python environments beside stepping them."""
    lines = []
    for env, measured in kept("ordinary")["environments"].items():
        lines += [f"| 8 x {env} | steps per second (lowest to highest) |", "|---|---|"]
        lines += [_rate(name, rates) for name, rates in measured["steps_per_second"].items()]
        lines += [_ratio(label, ratio) for label, ratio in measured.items() if "/" in label]
        lines.append("")
    return "\n".join(lines).rstrip()


def startup() -> str:
    """From the prompt to a policy: whole processes, before and now."""
    result = kept("startup")
    works = {
        "first_ever": "the first ever, compiling",
        "whole": "later ones",
        "one_update": "later ones, of one update and no evaluation",
    }
    names = {"old": "before", "new": "now"}
    there = [name for name in names if name in result]
    lines = [
        "| `a2c train CartPole-v1 --no-pictures` | | wall time: fastest (median) | processor time: least (median) "
        "| 100 greedy episodes |",
        "|---|---|---|---|---|",
    ]
    for work, label in works.items():
        for name in there:
            runs = result[name][work]
            cells = []
            for what in ("seconds", "processor_seconds"):
                values = [run[what] for run in runs]
                cells.append(f"{min(values):.2f} s ({statistics.median(values):.2f} s)")
            reached = sorted({f"{run['mean']:.1f}" for run in runs if run["mean"] is not None})
            ends = " to ".join(reached[:: max(1, len(reached) - 1)])
            lines.append(f"| {label} | {names[name]} | {' | '.join(cells)} | {ends} |")
            label = ""
    load = result["load"]
    count = len(result[there[-1]]["whole"])
    lines += [
        "",
        f"{len(result[there[-1]]['first_ever'])} first ones and {count} later ones each; the machine's load was "
        f"{min(load):.1f} to {max(load):.1f}, that of the measured processes included.",
    ]
    return "\n".join(lines)


def parts() -> str:
    """The parts of an update beside what their arithmetic alone would take."""
    result = kept("kernels")
    names = list(result["parts"][0]["microseconds"])
    lines = [
        "| microseconds, one thread | " + " | ".join(_work(part) for part in result["parts"]) + " |",
        "|---|" + "---|" * len(result["parts"]),
    ]
    for name in names:
        cells = []
        for part in result["parts"]:
            alone = part["arithmetic_alone"].get(name)
            cells.append(f"{part['microseconds'][name]:.1f}" + (f" ({alone:.1f})" if alone else ""))
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    lines += ["", "| whole update, one thread | microseconds | its multiply-adds alone | times |", "|---|---|---|---|"]
    wholes = [(_work(part), part["microseconds"]["whole update"], part["arithmetic_alone"]) for part in result["parts"]]
    updates = [(name, took, alone["whole update"]) for name, took, alone in wholes]
    updates += [(one["name"], one["microseconds"], one["arithmetic_alone"]) for one in result["whole_updates"]]
    lines += [f"| {name} | {took:,.1f} | {alone:,.1f} | {took / alone:.1f} |" for name, took, alone in updates]
    return "\n".join(lines)


def versions() -> str:
    """Steps a second beside older versions, measured in turn."""
    before, last = kept("versions-before-natural-steps"), kept("versions-numbers-in-lines")
    lines = [
        "| steps a second, times those of a version | before the natural step | before numbers lay in lines |",
        "|---|---|---|",
    ]
    for old, new in zip(before["rows"], last["rows"], strict=True):
        cells = (f"{row['ratio']:.2f} ({min(row['ratios']):.2f} to {max(row['ratios']):.2f})" for row in (old, new))
        lines.append(f"| {old['case']} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _work(part: dict[str, Any]) -> str:
    sizes = "-".join(map(str, part["hidden_sizes"]))
    return f"{part['num_envs']} x {part['rollout_length']}, {sizes} {part['activation']}"


def environments() -> str:
    """Steps per second of vector environments."""
    result = kept("environments")
    lines = []
    for env, measured in result["environments"].items():
        lines += [f"| stepping {result['num_envs']} x {env} | steps per second (lowest to highest) |", "|---|---|"]
        lines += [_rate(name, rates) for name, rates in measured["steps_per_second"].items()]
        lines += [_ratio(label, ratio) for label, ratio in measured.items() if "/" in label]
        lines.append("")
    return "\n".join(lines).rstrip()


def _rate(name: str, rates: dict[str, Any]) -> str:
    return f"| {name} | {rates['median']:,.0f} ({min(rates['rounds']):,.0f} to {max(rates['rounds']):,.0f}) |"


def _ratio(label: str, ratio: dict[str, float]) -> str:
    return f"| **{label}** | **{ratio['median']:.2f}** ({ratio['lowest']:.2f} to {ratio['highest']:.2f}) |"


README: dict[str, Callable[[], str]] = {"learning": summary, "beside": beside, "faults": faults}

PAGES: dict[str, dict[str, Callable[[], str]]] = {
    "README.md": README,
    "README.zh-CN.md": {name: in_chinese(table) for name, table in README.items()},
    "docs/speed.md": {
        "startup": startup,
        "training": training,
        "ordinary": ordinary,
        "parts": parts,
        "versions": versions,
        "environments": environments,
    },
    "docs/masks.md": {"masks": masks},
    "docs/results.md": {"optima": optima},
}
"""The tables of each page; docs/results.md has others, which benchmarks.learning_page writes."""


def with_tables(page: str, text: str) -> str:
    """A page's text with every table as the results have it."""
    return filled(text, PAGES[page], ROOT / page)


if __name__ == "__main__":
    for page in PAGES:
        path = ROOT / page
        path.write_text(with_tables(page, path.read_text(encoding="utf-8")), encoding="utf-8")
