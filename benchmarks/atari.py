"""Training speed on Atari with the convolutions of Mnih et al. (2015), beside other libraries, whole runs in turn.

    python -m benchmarks.atari --peers PYTHON [CASE ...]
    python -m benchmarks.atari --table
    python -m benchmarks.atari --picture            docs/atari.png: a game's screen, and the observation made of it;
                                                    docs/atari_learning.png: curves of `benchmarks.learning`

PYTHON is an interpreter with benchmarks/peers/atari.txt installed. Ours is timed as a whole call of `a2c.train`,
including run folder, checkpoint and summary. Stable-Baselines3 and a program in plain PyTorch, with ale_py's vector
environment in C++, run with their best settings (threads, processes, one or two passes through the network), which are
measured first; their first updates do not count. Peak memory is the sum of the peaks of a run's processes.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

from a2c.envs.make import make_env
from a2c.envs.wrapping import Wrapping
from benchmarks.learning import CASES as CASES_LEARNT
from benchmarks.learning import finished
from benchmarks.markers import filled
from benchmarks.measure import alternate, keep, kept, ratio
from benchmarks.training import PEERS

PAGE = Path(__file__).parents[1] / "docs" / "atari.md"
ROUNDS, STEPS, THEIR_STEPS = 3, 80_000, 8_000


class Case(NamedTuple):
    """One piece of work."""

    env: str
    num_envs: int
    rollout_length: int


CASES = {
    "ALE/Pong-v5 8 x 5": Case("ALE/Pong-v5", 8, 5),
    "ALE/Pong-v5 16 x 5": Case("ALE/Pong-v5", 16, 5),
    "ALE/Pong-v5 16 x 16": Case("ALE/Pong-v5", 16, 16),
}

OURS = """
import json, resource, sys, tempfile, time
import a2c
env, steps, settings = sys.argv[1], int(sys.argv[2]), json.loads(sys.argv[3])
with tempfile.TemporaryDirectory() as folder:
    start = time.perf_counter()
    a2c.train(env, run_dir=folder, total_steps=steps, eval_every_steps=0, final_eval_episodes=0, **settings)
    rate = steps / (time.perf_counter() - start)
here, workers = (resource.getrusage(who).ru_maxrss / 1024 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
print(json.dumps({"rate": rate, "here": here, "workers": workers}))
"""
"""In a process of its own, for its memory."""


def ours(case: Case) -> dict[str, float]:
    """Steps per second of a whole run, and MiB of memory."""
    settings = {"num_envs": case.num_envs, "rollout_length": case.rollout_length, "num_workers": 1}
    command = [sys.executable, "-Wignore", "-c", OURS, case.env, str(STEPS), json.dumps(settings)]
    found = json.loads(_last_lines(command, 1)[0])
    return {"steps_per_second": found["rate"], "mib": found["here"] + found["workers"]}


def theirs(python: str, script: str, case: Case, flags: tuple[str, ...]) -> list[float]:
    """What a peer's script prints: steps per second last."""
    command = [python, "-Wignore", str(PEERS / f"{script}.py"), "--env", case.env, "--num-envs", str(case.num_envs)]
    command += ["--rollout-length", str(case.rollout_length), "--steps", str(THEIR_STEPS), *flags]
    return [float(line) for line in _last_lines(command, 2 if script == "atari_sb3" else 1)]


def _last_lines(command: list[str], count: int) -> list[str]:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    return done.stdout.splitlines()[-count:]


FLAGS: dict[str, list[tuple[str, ...]]] = {
    "atari_sb3": [("--threads", t, *p) for t, p in itertools.product("12", ((), ("--processes",)))],
    "atari_torch": [("--threads", t, *p) for t, p in itertools.product("12", ((), ("--again",)))],
}
"""Settings of the peers that are tried."""

NAMES = {"atari_sb3": "Stable-Baselines3", "atari_torch": "PyTorch"}


def measure(case: Case, python: str) -> dict[str, Any]:
    """Ours and every peer's best setting, in turn."""
    contestants = {"a2c": lambda: ours(case)["steps_per_second"]}
    tried: dict[str, dict[str, float]] = {}
    memory = {"a2c": ours(case)["mib"]}
    for script, flags in FLAGS.items():
        found = {" ".join(one): theirs(python, script, case, one) for one in flags}
        tried[NAMES[script]] = {one: values[-1] for one, values in found.items()}
        best = max(found, key=lambda one: found[one][-1])
        if len(found[best]) > 1:
            memory[NAMES[script]] = found[best][0]
        print(f"{script}: {tried[NAMES[script]]}", flush=True)
        call = functools.partial(theirs, python, script, case, tuple(best.split()))
        contestants[NAMES[script]] = lambda call=call: call()[-1]
    rates = alternate(contestants, ROUNDS)
    return {
        "steps_per_second": rates,
        "tried": tried,
        "peak_mib": memory,
        "ratios": {name: ratio(rates, "a2c", name) for name in contestants if name != "a2c"},
    }


def result_name(case: str) -> str:
    """The file of a case, without its ending."""
    return "atari-" + case.removeprefix("ALE/").replace(" ", "-")


def speeds() -> str:
    """Whole runs beside others'."""
    lines = [
        "| work | a2c | Stable-Baselines3 | PyTorch | a2c / Stable-Baselines3 | a2c / PyTorch | memory, a2c | "
        "memory, Stable-Baselines3 |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name in CASES:
        result = kept(result_name(name))
        if not result:
            continue
        rates = [f"{result['steps_per_second'][one]['median']:,.0f}" for one in ("a2c", *NAMES.values())]
        ratios = [
            f"**{one['median']:.1f}** ({one['lowest']:.1f} to {one['highest']:.1f})"
            for one in (result["ratios"][peer] for peer in NAMES.values())
        ]
        memory = [f"{result['peak_mib'][one]:,.0f} MiB" for one in ("a2c", "Stable-Baselines3")]
        lines.append(f"| {' | '.join([name, *rates, *ratios, *memory])} |")
    return "\n".join(lines)


PUBLISHED = {"PongNoFrameskip-v4": 17.3, "BreakoutNoFrameskip-v4": 280.0, "BreakoutNoFrameskip-v4, 2 M": None}
"""After 10 million steps, without sticky actions: RL-Zoo3's A2C, actions sampled, from its table of benchmarks."""


def learnt() -> str:
    """What `benchmarks.learning` has of games."""
    lines = ["| game | steps | seed | sampled | greedy | RL-Zoo3's A2C |", "|---|---|---|---|---|---|"]
    for game, published in PUBLISHED.items():
        for run in finished(game):
            sampled, greedy = (
                f"{run[key]['mean']:.1f} +- {run[key]['std']:.1f}" for key in ("sampled_evaluation", "final_evaluation")
            )
            name, theirs = CASES_LEARNT[game].env, "" if published is None else published
            lines.append(f"| {name} | {run['steps']:,} | {run['seed']} | **{sampled}** | {greedy} | {theirs} |")
    return "\n".join(lines)


def with_tables(page: str) -> str:
    """A page with what is in the results."""
    return filled(page, {"atari speed": speeds, "atari learnt": learnt}, PAGE)


def curves() -> None:
    """Returns of whole games in training and evaluations on the way, over steps."""
    import matplotlib.pyplot as plt  # Here: only this needs it.

    games = [game for game in PUBLISHED if finished(game)]
    _, places = plt.subplots(1, len(games), figsize=(5.5 * len(games), 3.2), layout="constrained", squeeze=False)
    for place, game in zip(places.flat, games, strict=True):
        for run in finished(game):
            place.plot(run["training"]["steps"], run["training"]["return"], label="games in training")
            place.plot(run["curve"]["steps"], run["curve"]["return"], "o", markersize=4, label="evaluations, 16 games")
        published = PUBLISHED[game]
        if published is not None:
            place.axhline(published, color="0.4", linewidth=0.8, linestyle="--", label="RL-Zoo3's A2C after 10 M")
        place.set_title(game, fontsize=9)
        place.set_xlabel("steps, of four frames", fontsize=8)
        place.set_ylabel("return of a whole game", fontsize=8)
        place.tick_params(labelsize=8)
        place.legend(fontsize=8)
    plt.savefig(PAGE.with_name("atari_learning.png"), dpi=110)


def picture() -> None:
    """What Pong shows after some steps, and the four frames that are observed."""
    import matplotlib.pyplot as plt  # Here: only this needs it.

    env = make_env("ALE/Pong-v5", render_mode="rgb_array", wrapping=Wrapping(atari_preprocessing=True, frame_stack=4))
    env.reset(seed=0)
    env.action_space.seed(0)
    for _ in range(60):
        frames = env.step(env.action_space.sample())[0]
    _, axes = plt.subplots(1, 5, figsize=(10, 2.6))
    axes[0].imshow(env.render())
    axes[0].set_title("what is shown, 210 x 160", fontsize=8)
    for number, (axis, frame) in enumerate(zip(axes[1:], frames, strict=True)):
        axis.imshow(frame, cmap="gray")
        axis.set_title("what is observed, 84 x 84 each" if number == 0 else f"{number} later", fontsize=8)
    for axis in axes:
        axis.axis("off")
    plt.tight_layout()
    plt.savefig(PAGE.with_suffix(".png"), dpi=110)
    env.close()


def main() -> None:
    command_line = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    command_line.add_argument("--peers", help="an interpreter with benchmarks/peers/atari.txt installed")
    command_line.add_argument("--table", action="store_true", help="only write docs/atari.md's table")
    command_line.add_argument("--picture", action="store_true", help="only draw docs/atari.png and atari_learning.png")
    command_line.add_argument("cases", nargs="*", metavar="CASE", help=", ".join(CASES))
    options = command_line.parse_args()
    if options.picture:
        picture()
        curves()
        return
    for name in () if options.table else options.cases or CASES:
        start = time.perf_counter()
        result = measure(CASES[name], options.peers)
        for peer, value in result["ratios"].items():
            print(f"{name}: a2c / {peer} {value['median']:.1f} ({value['lowest']:.1f} to {value['highest']:.1f})")
        print(f"{name}: {result['peak_mib']}, {time.perf_counter() - start:.0f} s")
        keep(result_name(name), "python -m benchmarks.atari --peers PYTHON", {"case": name, **result})
    PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
