"""Returns with no setting chosen: our defaults beside those of Stable-Baselines3's PPO, at the same steps.

python -m benchmarks.defaults --peers PYTHON [ENV ...] [--jobs J]

PYTHON is an interpreter with benchmarks/peers/zoo.txt installed; ours needs benchmarks/peers/untuned.txt. The
environments were chosen before anything was compared on them, and no setting of ours was chosen on any. Each run has
one core, and ends with 100 greedy episodes of the final policy. Episodes are cut off after 1,000 steps if an
environment has no end of its own. Runs already in the results are not made again.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from typing import Any

import gymnasium

import a2c
from benchmarks.measure import Table, complete, keep, kept
from benchmarks.yardstick import peer

RESULT = "defaults"
SEEDS = range(3)
STEPS = 200_000
EPISODES = 100
LONGEST = 1_000
OURS, THEIRS, RANDOM = "a2c", "PPO of Stable-Baselines3", "random actions"

ENVS: dict[str, int | None] = {
    "Pusher-v5": None,
    "HumanoidStandup-v5": None,
    "gymnasium_cartpole_swingup:CartPoleSwingUp-v0": None,
    "pybullet_envs_gymnasium:HopperBulletEnv-v0": None,
    "pybullet_envs_gymnasium:AntBulletEnv-v0": None,
    "gym_pusht:gym_pusht/PushT-v0": None,
    "flappy_bird_gymnasium:FlappyBird-v0": LONGEST,
    "gymnasium_snake_game:Snake-v1": LONGEST,
}
"""Environments, and the steps after which their episodes are cut off."""


def run(python: str, learner: str, env: str, seed: int) -> dict[str, Any]:
    """One run of a learner."""
    limit = ENVS[env]
    if learner == THEIRS:
        flags = [] if limit is None else ["--max-episode-steps", str(limit)]
        return peer(python, "ppo", env, seed, STEPS, "--defaults", *flags)
    if learner == RANDOM:
        return at_random(env, limit, seed)
    with tempfile.TemporaryDirectory() as folder:
        summary = a2c.train(
            env, seed=seed, total_steps=STEPS, max_episode_steps=limit, run_dir=folder, num_workers=0, num_threads=1,
            final_eval_episodes=EPISODES,
        ).summary  # fmt: skip
    if summary["stopped_by"] is not None:
        raise KeyboardInterrupt
    final = summary["final_evaluation"]
    return {
        "seed": seed, "steps": summary["steps"], "final": round(final["mean"], 4),
        "std": round(final["std"], 4), "seconds": round(summary["train_seconds"], 1),
    }  # fmt: skip


def at_random(env_id: str, limit: int | None, seed: int) -> dict[str, Any]:
    """The returns of a policy that draws from the action space."""
    env = gymnasium.make(env_id, max_episode_steps=limit)
    env.action_space.seed(seed)
    returns = []
    for episode in range(EPISODES):
        env.reset(seed=seed * EPISODES + episode)
        total, is_over = 0.0, False
        while not is_over:
            _, reward, terminated, truncated, _ = env.step(env.action_space.sample())
            total += float(reward)
            is_over = terminated or truncated
        returns.append(total)
    return {"seed": seed, "final": round(statistics.fmean(returns), 4), "std": round(statistics.pstdev(returns), 4)}


def finished() -> Table:
    """The runs that are in the results, by environment and learner."""
    envs: Table = kept(RESULT).get("envs", {})
    return envs


def save(envs: Table) -> None:
    """Keeps the runs."""
    keep(RESULT, "python -m benchmarks.defaults --peers PYTHON", {"steps": STEPS, "envs": envs})


def gained(runs: dict[str, list[dict[str, Any]]]) -> float | None:
    """Our gain over random actions, as a share of theirs; None if theirs gains nothing."""
    ours, theirs, chance = (statistics.fmean(run["final"] for run in runs[of]) for of in (OURS, THEIRS, RANDOM))
    return (ours - chance) / (theirs - chance) if theirs > chance else None


def main() -> None:
    command_line = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    command_line.add_argument("--peers", required=True, help="an interpreter with benchmarks/peers/zoo.txt installed")
    command_line.add_argument("envs", nargs="*", metavar="ENV", help=", ".join(ENVS))
    command_line.add_argument("--jobs", type=int, default=2, help="runs at a time")
    options = command_line.parse_args()
    wanted = {
        (env, learner, seed): (options.peers, learner, env, seed)
        for seed in SEEDS
        for env in options.envs or ENVS
        for learner in (RANDOM, OURS, THEIRS)
    }
    for (env, learner, seed), result in complete(run, finished, save, wanted, options.jobs):
        print(f"{env}, {learner}, seed {seed}: {result['final']:,.1f}", flush=True)


if __name__ == "__main__":
    main()
