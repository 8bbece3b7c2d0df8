"""Training speed, whole runs beside other libraries that do the same work: the same environment, network, optimizer and
sizes, one gradient step per rollout, no evaluation. Ours and Stable-Baselines3 log; skrl and JAX do not.

Ours is timed as a whole call of `a2c.train`, including run folder, checkpoint and summary. The peers' first updates,
and compilation by JAX, do not count. Every peer runs with 1 or 2 threads, whichever is faster in two rounds before.

    python -m benchmarks.training --peers PYTHON [CASE ...]

PYTHON is an interpreter with benchmarks/peers/requirements.txt installed.
"""

from __future__ import annotations

import argparse
import functools
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import a2c
from benchmarks.measure import alternate, keep, ratio

ROUNDS = 5
PEERS = Path(__file__).parent / "peers"


class Case(NamedTuple):
    """One piece of work: settings of ours, and who else does it for how many steps."""

    env: str
    num_envs: int
    hidden_sizes: tuple[int, ...]
    activation: str
    steps: int
    settings: dict[str, Any]
    peers: dict[str, int]  # script -> steps
    peer_flags: tuple[str, ...] = ()


CARTPOLE = {"gae_lambda": 1.0, "entropy_coef": 0.01}
CASES = {
    "CartPole-v1 8 x 8": Case(
        "CartPole-v1", 8, (256,), "relu", 4_000_000, CARTPOLE,
        {"sb3": 60_000, "skrl_a2c": 40_000, "jax_a2c": 1_500_000, "jax_tuned": 3_000_000},
    ),
    "CartPole-v1 64 x 8": Case(
        "CartPole-v1", 64, (256,), "relu", 4_000_000, CARTPOLE,
        {"sb3": 150_000, "skrl_a2c": 200_000, "jax_a2c": 1_500_000, "jax_tuned": 3_000_000},
    ),
    "CartPole-v1 1024 x 8": Case(
        "CartPole-v1", 1024, (256,), "relu", 6_000_000, CARTPOLE,
        {"sb3": 300_000, "skrl_a2c": 900_000, "jax_a2c": 1_000_000, "jax_tuned": 5_000_000},
    ),
    "CartPole-v1 8 x 8, Gymnasium's environment": Case(
        "CartPole-v1", 8, (256,), "relu", 300_000, CARTPOLE | {"vectorization": "local"}, {"sb3": 60_000}
    ),
    "CartPole-v1 8 x 8, Paddle engine": Case(
        "CartPole-v1", 8, (256,), "relu", 80_000, CARTPOLE | {"vectorization": "local", "engine": "paddle"},
        {"sb3": 60_000},
    ),
    "HalfCheetah-v5 8 x 8": Case(
        "HalfCheetah-v5", 8, (64, 64), "tanh", 100_000,
        {"gae_lambda": 0.95, "entropy_coef": 0.01, "normalize_observations": True, "normalize_returns": True},
        {"sb3": 25_000}, ("--normalize",),
    ),
}  # fmt: skip


def ours(case: Case) -> float:
    """Steps per second of a whole run."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        a2c.train(
            case.env,
            preset="none",
            run_dir=folder,
            total_steps=case.steps,
            num_envs=case.num_envs,
            rollout_length=8,
            gamma=0.99,
            value_coef=0.5,
            max_grad_norm=0.5,
            learning_rate=1e-3,
            hidden_sizes=case.hidden_sizes,
            activation=case.activation,
            eval_every_steps=0,
            eval_episodes=1,
            final_eval_episodes=0,
            **case.settings,
        )
        return case.steps / (time.perf_counter() - start)


def theirs(python: str, case: Case, script: str, steps: int, threads: int) -> float:
    """Steps per second that a peer's script prints last."""
    command = [python, str(PEERS / f"{script}.py"), "--env", case.env, "--num-envs", str(case.num_envs)]
    command += ["--rollout-length", "8", "--hidden", *map(str, case.hidden_sizes), "--activation", case.activation]
    command += ["--steps", str(steps), "--threads", str(threads), *case.peer_flags]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    return float(done.stdout.split()[-1])


def measure(case: Case, python: str) -> dict[str, Any]:
    """Ours and every peer's better setting, in turn."""
    contestants = {"a2c": functools.partial(ours, case)}
    settings = {}
    for script, steps in case.peers.items():
        rates = {threads: max(theirs(python, case, script, steps, threads) for _ in range(2)) for threads in (1, 2)}
        best = max(rates, key=lambda threads: rates[threads])
        print(f"{script}: {', '.join(f'{t} threads {rate:,.0f}' for t, rate in rates.items())} steps/s", flush=True)
        name = f"{script}, {best} thread{'s' if best > 1 else ''}"
        contestants[name] = functools.partial(theirs, python, case, script, steps, best)
        settings[name] = rates
    rates = alternate(contestants, ROUNDS)
    return {
        "steps_per_second": rates,
        "threads_tried": settings,
        "ratios": {name: ratio(rates, "a2c", name) for name in contestants if name != "a2c"},
    }


def result_name(case: str) -> str:
    """The file of a case, without its ending."""
    return "training-" + case.replace(",", "").replace("'", "").replace(" ", "-")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", required=True, help="an interpreter with benchmarks/peers/requirements.txt")
    parser.add_argument("cases", nargs="*", metavar="CASE", help=", ".join(CASES))
    arguments = parser.parse_args()
    for name in arguments.cases or CASES:
        result = measure(CASES[name], arguments.peers)
        for peer, value in result["ratios"].items():
            print(f"{name}: a2c / {peer} {value['median']:.1f} ({value['lowest']:.1f} to {value['highest']:.1f})")
        keep(result_name(name), "python -m benchmarks.training --peers PYTHON", {"case": name, **result})


if __name__ == "__main__":
    main()
