"""The time of `a2c train CartPole-v1 --seeds 10`, the whole process, beside the same seeds one by one; and the cost of
the live view.

    python -m benchmarks.seeds
    python -m benchmarks.seeds --view
    python -m benchmarks.seeds --table      writes both results into docs/training.md
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.markers import filled
from benchmarks.measure import alternate, keep, kept, ratio

PAGE = Path(__file__).parents[1] / "docs" / "training.md"
SEEDS = 10
ROUNDS = 5
VIEW_STEPS = {"compiled": 15_000_000, "local": 400_000}
"""Some seconds of training, each: whole updates in machine code, and Gymnasium's environments stepped by Python."""


def command(folder: str, *words: str) -> list[str]:
    return [sys.executable, "-m", "a2c", "train", "CartPole-v1", "--run-dir", folder, *words]


def environment() -> dict[str, str]:
    """With bytecode kept, as pip leaves it of what it installs; not every machine lets Python write it."""
    kept = Path(tempfile.gettempdir()) / "a2c-benchmark-bytecode"
    return {**os.environ, "PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(kept)}


def whole(*words: str) -> dict[str, Any]:
    """Seconds of a whole process, of the clock on the wall and of the processors."""
    with tempfile.TemporaryDirectory() as folder:
        before, start = os.times(), time.perf_counter()
        done = subprocess.run(
            command(folder, "--json", *words), capture_output=True, text=True, check=True, env=environment()
        )
        seconds, after = time.perf_counter() - start, os.times()
    processor = (after.children_user + after.children_system) - (before.children_user + before.children_system)
    return {"seconds": seconds, "processor_seconds": processor, "answer": json.loads(done.stdout)}


def seeds() -> None:
    """Whole processes, each kind in turn; the fastest is what the machine can do, as others work on it, too."""
    kinds = {
        "--seeds 10 --no-pictures": ["--seeds", str(SEEDS), "--no-pictures"],
        "--seeds 10": ["--seeds", str(SEEDS)],
        "--seeds 10 --jobs 1 --no-pictures": ["--seeds", str(SEEDS), "--jobs", "1", "--no-pictures"],
    }
    whole("--no-pictures", "--total-steps", "1024")  # Compiles, where that is to be done.
    rounds: dict[str, list[dict[str, Any]]] = {name: [] for name in kinds}
    for _ in range(ROUNDS):
        for name, words in kinds.items():
            result = whole(*words)
            result["aggregate"] = result.pop("answer")["aggregate"]["final_evaluation"]
            rounds[name].append(result)
            print(
                f"{name:36s}{result['seconds']:7.2f} s, {result['processor_seconds']:6.2f} s of processors", flush=True
            )
    fastest = {name: min(results, key=lambda result: result["seconds"]) for name, results in rounds.items()}
    for name, result in fastest.items():
        print(f"{name:36s}{result['seconds']:7.2f} s at the quietest")
    keep("seeds", "python -m benchmarks.seeds", {"cores": os.cpu_count(), "fastest": fastest, "rounds": rounds})


def on_a_terminal(folder: str, *words: str) -> None:
    """A command on a pseudo-terminal whose other end reads everything at once."""
    import pty

    pid, terminal = pty.fork()
    if not pid:
        os.environ.update(environment(), TERM="xterm-256color")
        os.execv(sys.executable, command(folder, *words))
    while True:
        try:
            if not os.read(terminal, 1 << 16):
                break
        except OSError:
            break
    os.close(terminal)
    if os.waitpid(pid, 0)[1]:
        raise RuntimeError(f"training ended with an error: {words}")


def steps_per_second(vectorization: str, *words: str) -> float:
    """Of training on a terminal, as the run's summary has it."""
    steps = str(VIEW_STEPS[vectorization])
    with tempfile.TemporaryDirectory() as folder:
        on_a_terminal(
            folder, "--preset", "none", "--vectorization", vectorization, "--num-workers", "0", "--num-threads", "1",
            "--total-steps", steps, "--eval-every-steps", "0", "--final-eval-episodes", "0", "--no-pictures", *words,
        )  # fmt: skip
        (path,) = Path(folder).rglob("summary.json")
        return float(json.loads(path.read_text())["steps_per_second"])


def view() -> None:
    """Training with the view and with --quiet, in turn."""
    results = {}
    for vectorization in VIEW_STEPS:
        rates = alternate(
            {
                "live view": lambda kind=vectorization: steps_per_second(kind),
                "--quiet": lambda kind=vectorization: steps_per_second(kind, "--quiet"),
            },
            ROUNDS,
        )
        share = ratio(rates, "live view", "--quiet")
        print(f"{vectorization}: {share['median']:.3f} ({share['lowest']:.3f} to {share['highest']:.3f})")
        results[vectorization] = {"steps_per_second": rates, "share": share}
    keep("view", "python -m benchmarks.seeds --view", {"environments": results})


def with_tables(page: str) -> str:
    """The page with the tables of the committed results."""
    return filled(page, {"seeds": seeds_table, "view": view_table}, PAGE)


def seeds_table() -> str:
    lines = ["| `a2c train CartPole-v1` | seconds (lowest to highest) | seconds of processors |", "|---|---|---|"]
    for name, results in kept("seeds")["rounds"].items():
        seconds, processors = (sorted(r[key] for r in results) for key in ("seconds", "processor_seconds"))
        middle = len(results) // 2
        lines.append(
            f"| `{name}` | {seconds[middle]:.1f} ({seconds[0]:.1f} to {seconds[-1]:.1f}) | {processors[middle]:.1f} |"
        )
    return "\n".join(lines)


def view_table() -> str:
    lines = ["| environments | speed with the live view, of that with `--quiet` (lowest to highest) |", "|---|---|"]
    for name, result in kept("view").get("environments", {}).items():
        share = result["share"]
        lines.append(f"| {name} | {share['median']:.3f} ({share['lowest']:.3f} to {share['highest']:.3f}) |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--view", action="store_true", help="what the live view costs, instead")
    parser.add_argument("--table", action="store_true", help="write the tables of docs/training.md, instead")
    chosen = parser.parse_args()
    if chosen.table:
        PAGE.write_text(with_tables(PAGE.read_text()))
    else:
        (view if chosen.view else seeds)()


if __name__ == "__main__":
    main()
