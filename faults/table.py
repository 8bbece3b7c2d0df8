"""Writes the tables of docs/reliability.md from the committed results, between their markers.

python -m faults.table
"""

from __future__ import annotations

import json
import re
from typing import Any

from faults.cases import CASES, INEXACT
from faults.places import ROOT
from faults.results import RESULTS

PAGE = ROOT / "docs" / "reliability.md"

KINDS = {
    "kills": "trainer killed (SIGKILL), resumed",
    "worker_kills": "worker killed (SIGKILL)",
    "hangs": "environment hangs",
    "stops": "process stopped (SIGSTOP) for a while",
    "seeds": "several seeds at a time killed or ended, all of them or one's process, resumed",
    "disk": "no space left, at each call that writes a checkpoint",
    "inexact": "worker killed; episodes cannot be replayed",
    "cluster": "on a Ray cluster: actor killed (SIGKILL), trainer killed and resumed",
    "day": "worker killed every 2 to 5 s, trainer every minute",
}


def table() -> str:
    """The table of faults: a row for each kind and environment with results."""
    lines = ["| environment | fault | faults | runs | same bits | left behind |", "|---|---|---|---|---|---|"]
    for name in [*CASES, *INEXACT, "cluster", "day"]:
        path = RESULTS / f"{name}.json"
        if path.exists():
            result = json.loads(path.read_text())
            label = f"{result['env_id']}, {result['steps']:,} steps" if name == "day" else name
            lines += [_row(label, kind, outcome) for kind, outcome in result["kinds"].items()]
    return "\n".join(lines)


def _row(label: str, kind: str, outcome: dict[str, Any]) -> str:
    fault = KINDS[kind]
    inside = outcome["during"].get("a checkpoint", 0)
    if inside:
        fault += f", {inside} of them while it wrote a checkpoint"
    equal = f"{outcome['equal']} of {outcome['runs']}"
    if kind == "inexact":
        equal = (
            "no, and the run says so" if outcome["equal"] == outcome["runs"] else "**no, and the run does not say so**"
        )
    elif outcome["equal"] != outcome["runs"]:
        equal = f"**{equal}**"
    left = "; ".join(outcome["leftovers"]) or "nothing"
    return f"| {label} | {fault} | {outcome['faults']} | {outcome['runs']} | {equal} | {left} |"


def folders() -> str:
    """The sentence on the fuzzer of run folders."""
    path = RESULTS / "folders.json"
    if not path.exists():
        return "Not yet run."
    result = json.loads(path.read_text())
    found = "; ".join(result["findings"]) or "nothing"
    return f"`{result['command']}`: {result['mutations']:,} damaged folders; found: {found}."


def cost() -> str:
    """The table of what checkpoints and recording actions cost."""
    path = ROOT / "benchmarks" / "results" / "reliability.json"
    if not path.exists():
        return "Not yet measured."
    lines = ["| 8 x 8 | steps per second, safe | without | share (lowest to highest) |", "|---|---|---|---|"]
    for env, result in json.loads(path.read_text())["environments"].items():
        safe, bare = (f"{rates['median']:,.0f}" for rates in result["steps_per_second"].values())
        share = result["share"]
        lines.append(
            f"| {env} | {safe} | {bare} | **{share['median']:.3f}** ({share['lowest']:.3f} to {share['highest']:.3f}) |"
        )
    return "\n".join(lines)


def with_tables(text: str) -> str:
    """The page with its tables made from the results."""
    for name, make in {"faults": table, "folders": folders, "cost": cost}.items():
        text, count = re.subn(
            rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)",
            lambda match, make=make: f"{match[1]}{make()}\n{match[2]}",
            text,
            flags=re.DOTALL,
        )
        if count != 1:
            raise SystemExit(f"{PAGE} has {count} places for the table {name}; it must have one")
    return text


def main() -> None:
    PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
