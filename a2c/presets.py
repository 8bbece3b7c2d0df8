"""Settings per environment, each with its source. The returns reached with them are in docs/results.md."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Mapping
from typing import Any

import gymnasium

from a2c.config import Config, check_field_names
from a2c.envs.compiled.classic import is_gymnasiums_own, twin
from a2c.envs.construction import EnvSource
from a2c.envs.sources import is_atari
from a2c.errors import UserError, shown
from a2c.fitting import FITTED, WITHIN_A_ROLLOUT, Fit, fit_to, wants_memory
from a2c.model.own import is_own
from a2c.preset_files import is_file_name, read_preset

NO_FIT = Fit({}, {})
"""No settings fitted to the environment."""

_OF_A_STEP = ("natural_kl", "natural_max_step", "normalize_advantage", "rollout_length")
"""Settings that suit one kind of actor step and not the other: natural steps need longer rollouts than plain ones."""

_TABLE: dict[str, Any] = {
    "num_envs": 8,
    "rollout_length": 16,
    "learning_rate": 3e-3,
    "schedule": "linear",
    "hidden_sizes": (64, 64),
    "normalize_returns": True,
    "eval_every_steps": 50_000,
    "eval_episodes": 200,
    "final_eval_episodes": 1_000,
}
"""Shared by the presets of environments with a finite number of states."""

_NORMALIZED: dict[str, Any] = {
    "schedule": "linear",
    "normalize_observations": True,
    "normalize_returns": True,
    "eval_every_steps": 50_000,
    "eval_episodes": 10,
    "final_eval_episodes": 100,
}

_NATURAL: dict[str, Any] = _NORMALIZED | {
    "actor_step": "natural",
    "natural_kl": 0.02,
    "num_envs": 8,
    "rollout_length": 128,
}
"""Shared by the presets with natural steps. Chosen by `benchmarks.tuning` on seeds 0 to 9; see docs/results.md."""

_SIMULATED: dict[str, Any] = _NATURAL | {"total_steps": 1_000_000, "rollout_length": 256, "natural_max_step": 10.0}
"""Shared by the presets of Box2D and MuJoCo."""

_UNBOUNDED: dict[str, Any] = _SIMULATED | {"natural_max_step": None, "normalize_advantage": True}
"""Shared by the presets that learn more without natural_max_step: each step goes as far as natural_kl allows."""

_LANDER: dict[str, Any] = _SIMULATED | {"rollout_length": 512, "natural_kl": 0.04, "gamma": 0.995, "gae_lambda": 0.98}
"""Long rollouts make few updates, so each step is longer. Returns were 280 and 269 (seeds 0 and 1); with continuous
actions 262 and 276. Rollouts of 8 x 256 reached 180 to 230 (seed 0) with discounts of .99 and .999."""

_PLAIN: dict[str, Any] = _NORMALIZED | {"total_steps": 1_000_000}
"""Shared by the presets of bodies with many joints: plain steps, of Adam."""

ATARI = "atari"

PRESETS: dict[str, dict[str, Any]] = {
    # The PaddlePaddle A2C tutorial (CartPole-v0), setting by setting. Its entropy term is 0.01 times a sum over the
    # 8 steps, hence 0.08 on our mean; its 2,000, 20,000 and 100 vector steps are 8 agent steps each.
    "tutorial": {
        "num_envs": 8,
        "rollout_length": 8,
        "total_steps": 160_000,
        "gamma": 0.99,
        "gae_lambda": 1.0,
        "value_coef": 0.5,
        "entropy_coef": 0.08,
        "max_grad_norm": None,
        "optimizer": "adam",
        "learning_rate": 1e-3,
        "schedule": "exponential",
        "decay_factor": 0.92,
        "decay_every_steps": 16_000,
        "hidden_sizes": (256,),
        "activation": "relu",
        "initialization": "xavier",
        "eval_every_steps": 800,
        "eval_episodes": 2,
        "eval_greedy": False,
        "final_eval_episodes": 100,
        "log": ("visualdl",),
    },
    # 500 on each of five seeds.
    "CartPole-v1": _NATURAL | {"total_steps": 100_000, "eval_every_steps": 20_000},
    # Longer rollouts, other discounts, wider networks and more passes of the critic were no better.
    "Acrobot-v1": _NATURAL | {"total_steps": 500_000, "natural_max_step": 10.0},
    "MountainCar-v0": _NATURAL | {"total_steps": 1_000_000},
    # Every action costs reward, so the policy must reach the flag before it learns to stand still: much noise, long
    # rollouts.
    "MountainCarContinuous-v0": _NATURAL
    | {
        "total_steps": 100_000,
        "rollout_length": 500,
        "natural_kl": 0.03,
        "gamma": 0.999,
        "initial_log_std": 0.5,
        "eval_every_steps": 10_000,
    },
    # In none of ten runs did the policy end up letting the pendulum hang.
    "Pendulum-v1": _NATURAL | {"total_steps": 1_000_000, "rollout_length": 512, "gamma": 0.95, "initial_log_std": 0.0},
    "LunarLander-v3": _LANDER,
    "LunarLanderContinuous-v3": _LANDER,
    # Return 318; with a natural_max_step of 10, 274 (seed 0).
    "BipedalWalker-v3": _UNBOUNDED | {"total_steps": 5_000_000, "eval_every_steps": 250_000},
    # Return 6,341 (seeds 0 to 3); with a KL that falls to 0, 5,548; with a lambda of .95, 5,738.
    "HalfCheetah-v5": _UNBOUNDED | {"critic_epochs": 20, "gae_lambda": 0.9, "schedule": "constant"},
    "Hopper-v5": _SIMULATED,
    # Return 5,152 (seeds 0 to 2).
    "Walker2d-v5": _UNBOUNDED,
    # Small plain steps, often, with little noise: return 4,306; without normalize_advantage 3,060. Before networks were
    # adjusted to new statistics of observations, 4,141, and 1,691 with twice the noise. One seed each.
    "Ant-v5": _PLAIN | {"rollout_length": 16, "initial_log_std": -1.4, "normalize_advantage": True},
    # Return 4,156. Before networks were adjusted to new statistics of observations, 5,059; then also with RMSprop
    # 1,035, and with advantages normalised over these 80 rows and a standard deviation of .5, 994. One seed each.
    "Humanoid-v5": _PLAIN | {"num_envs": 16, "rollout_length": 5, "initial_log_std": -0.5},
    # Rewards come long after the actions that earn them: a discount close to 1, long rollouts, a large lambda.
    "Swimmer-v5": _UNBOUNDED
    | {
        "num_envs": 2,
        "rollout_length": 1024,
        "gamma": 0.9999,
        "gae_lambda": 0.98,
        "critic_epochs": 20,
        "natural_kl": 0.01,
        "schedule": "constant",
    },
    # Better than a discount of .99, and than one of .9.
    "Reacher-v5": _UNBOUNDED | {"gamma": 0.95},
    "InvertedPendulum-v5": _SIMULATED,
    # Return 9,339 (seeds 0 to 2). With rollouts of 8 x 256, a lambda of .98 or a standard deviation of 1, one seed of
    # three lets the pole fall now and then.
    "InvertedDoublePendulum-v5": _SIMULATED | {"rollout_length": 512},
    # Every game of ale_py: the settings of RL-Zoo3's A2C, with the falling rate of OpenAI's Baselines.
    ATARI: {
        "total_steps": 10_000_000,
        "num_envs": 16,
        "rollout_length": 5,
        "atari_preprocessing": True,
        "frame_stack": 4,
        "terminal_on_life_loss": True,
        "clip_rewards": True,
        "gae_lambda": 1.0,
        "value_coef": 0.25,
        "entropy_coef": 0.01,
        "optimizer": "rmsprop",
        "schedule": "linear",
        "hidden_sizes": (),
        "eval_every_steps": 1_000_000,
        "eval_greedy": False,
        "eval_episodes": 16,
        "final_eval_episodes": 100,
    },
    # The next three start from what `a2c.fitting` takes for discrete observations; the differences were chosen on seeds
    # 0 to 2. Returns are so noisy that with ten episodes the choice of the best policy would be luck.
    #
    # With an entropy_coef of .03 two runs of six ended at .33 or less, with .1 none of six (seeds 0 to 2, discounts .99
    # and .999).
    "FrozenLake-v1": _TABLE | {"total_steps": 300_000, "entropy_coef": 0.1},
    # An episode has at most 200 steps. Of eight discounts from .9 to 1, the optimal policy (by dynamic programming) for
    # .995 has the highest return within that limit: .8936; for 1, which does not hurry, .8857. With an entropy_coef of
    # .1 two runs ended at .82 and .80, with .03 at .87 and .88 (seeds 0 and 1). 8 environments were tried for 300,000
    # steps only, at a discount of .99.
    "FrozenLake8x8-v1": _TABLE | {"total_steps": 600_000, "num_envs": 32, "gamma": 0.995, "entropy_coef": 0.03},
    # With .1, two seeds came within .0015 of the optimum in 400,000 steps; smaller values were not tried that long.
    "Blackjack-v1": _TABLE | {"total_steps": 300_000, "entropy_coef": 0.1},
}


_REGISTERED: dict[str, tuple[str, dict[str, Any], int | None]] = {
    "FrozenLake-v1": ("toy_text.frozen_lake:FrozenLakeEnv", {"map_name": "4x4"}, 100),
    "FrozenLake8x8-v1": ("toy_text.frozen_lake:FrozenLakeEnv", {"map_name": "8x8"}, 200),
    "Blackjack-v1": ("toy_text.blackjack:BlackjackEnv", {"sab": True, "natural": False}, None),
    "LunarLander-v3": ("box2d.lunar_lander:LunarLander", {}, 1000),
    "LunarLanderContinuous-v3": ("box2d.lunar_lander:LunarLander", {"continuous": True}, 1000),
    "BipedalWalker-v3": ("box2d.bipedal_walker:BipedalWalker", {}, 1600),
    "HalfCheetah-v5": ("mujoco.half_cheetah_v5:HalfCheetahEnv", {}, 1000),
    "Hopper-v5": ("mujoco.hopper_v5:HopperEnv", {}, 1000),
    "Walker2d-v5": ("mujoco.walker2d_v5:Walker2dEnv", {}, 1000),
    "Ant-v5": ("mujoco.ant_v5:AntEnv", {}, 1000),
    "Humanoid-v5": ("mujoco.humanoid_v5:HumanoidEnv", {}, 1000),
    "Swimmer-v5": ("mujoco.swimmer_v5:SwimmerEnv", {}, 1000),
    "Reacher-v5": ("mujoco.reacher_v5:ReacherEnv", {}, 50),
    "InvertedPendulum-v5": ("mujoco.inverted_pendulum_v5:InvertedPendulumEnv", {}, 1000),
    "InvertedDoublePendulum-v5": ("mujoco.inverted_double_pendulum_v5:InvertedDoublePendulumEnv", {}, 1000),
}
"""What Gymnasium registers under ids with a preset, except classic control: class, arguments, time limit."""


def _is_gymnasiums_own(env_id: str) -> bool:
    """Whether an id still means the environment that Gymnasium registers: a program may register the id again."""
    if env_id not in _REGISTERED:
        return is_gymnasiums_own(env_id)
    entry_point, kwargs, limit = _REGISTERED[env_id]
    spec = gymnasium.registry.get(env_id)
    return (
        spec is not None
        and spec.entry_point == f"gymnasium.envs.{entry_point}"
        and (spec.kwargs, spec.max_episode_steps, spec.additional_wrappers) == (kwargs, limit, ())
    )


def configure(env_id: str, preset: str, chosen: Mapping[str, Any], fit: Fit = NO_FIT) -> Config:
    """The Config for an environment: chosen settings, else fitted ones, else the preset's, else the defaults.

    Args:
        env_id: The environment.
        preset: A name in PRESETS, or the file of a preset; "auto" for the one named like the environment, if there is
            one and the id is what Gymnasium registers under it; "none".
        chosen: Field names and values.
        fit: Settings that fit the environment, beyond its preset.

    Raises:
        UserError: An unknown preset or field, or a value out of range; or a preset names a network in a module.
    """
    check_field_names(chosen)
    # A caller may give lists; Config holds tuples.
    tuples = {name: tuple(value) if isinstance(value, list) else value for name, value in chosen.items()}
    preset_says = preset_values(env_id, preset)
    values = {**preset_says, **fit.values, **tuples}
    network = preset_says.get("network", "auto")
    if is_own(network) and "network" not in chosen:  # A file alone must not choose what is imported.
        raise UserError(
            f"the preset {preset} names a network in a module of its own, {network}; to import it, say so with "
            f"--network {network} (from Python: network=...)"
        )
    # Both scale rewards: whoever chooses one does not want the other from the preset.
    for one, other in (("clip_rewards", "normalize_returns"), ("normalize_returns", "clip_rewards")):
        if tuples.get(one) is True and other not in tuples:
            values[other] = False
    return dataclasses.replace(Config(env_id), **values)


def fit_beside_preset(env: EnvSource, preset: str, chosen: Mapping[str, Any]) -> Fit:
    """The settings that are fitted to an environment, given its preset.

    Without a preset, all settings that `a2c.fitting` knows. With one, only those for which the preset does not suit the
    chosen policy: if it was made for another `actor_step`, or for a policy without memory. None if `preset` is "none".

    Args:
        env: The environment.
        preset: As in `configure`.
        chosen: Field names and values.

    Raises:
        UserError: The preset is unknown; the environment is unknown or cannot be trained on.
        EnvError: Its constructor raised.
    """
    if preset == "none":
        return NO_FIT
    values = preset_values(env if isinstance(env, str) else "", preset)
    if not values:
        return fit_to(env, chosen)
    step, asked = values.get("actor_step", Config.actor_step), chosen.get("actor_step")
    remembers = wants_memory(chosen)
    if remembers and asked is None:
        asked = "gradient"  # Policies with memory have no other.
    if asked not in (step, None):
        names = (*_OF_A_STEP, "actor_step") if remembers else _OF_A_STEP
        fitted = {name: value for name, value in fit_to(env, chosen).values.items() if name in names}
        return Fit(fitted, dict.fromkeys(fitted, f"the preset is for actor_step {step!r}"))
    if remembers:
        length = fit_to(env, chosen).values["rollout_length"]
        if length > values.get("rollout_length", Config.rollout_length):
            return Fit({"rollout_length": length}, {"rollout_length": WITHIN_A_ROLLOUT})
    return NO_FIT


def preset_values(env_id: str, preset: str) -> dict[str, Any]:
    """The fields that a preset ("auto", "none", a name in PRESETS or a file) sets for an environment.

    Raises:
        UserError: An unknown preset, or a file that is not a preset.
    """
    return _values_of(preset_name(env_id, preset))


def _values_of(name: str) -> dict[str, Any]:
    if not name or name in PRESETS:
        return PRESETS.get(name, {})
    return dict(read_preset(name).settings)


def warn_of_other_environment(env_id: str, preset: str) -> None:
    """Warns if a preset file was made for another environment.

    Raises:
        UserError: An unknown preset, or a file that is not a preset.
    """
    name = preset_name(env_id, preset)
    if name and name not in PRESETS:
        environment = read_preset(name).environment
        if environment not in (None, env_id):
            warnings.warn(f"{name} was made for {shown(environment)}, and this is {shown(env_id)}", stacklevel=2)


def preset_name(env_id: str, preset: str) -> str:
    """The name of the preset to use; "" if there is none.

    "auto" is the preset named like the environment or its family. A file's name is returned as it is.

    Raises:
        UserError: An unknown preset.
    """
    match preset:
        case "none":
            return ""
        case "auto" if (named := twin(env_id)) in PRESETS:
            return named if _is_gymnasiums_own(named) else ""
        case "auto":
            return ATARI if is_atari(env_id) else ""
        case _ if preset in PRESETS or is_file_name(preset):
            return preset
        case _:
            raise UserError(
                f"unknown preset {preset!r}; there are auto, none, {', '.join(PRESETS)}; or it is a file's, NAME.toml"
            )


def origins(config: Config, preset: str, fit: Fit = NO_FIT) -> dict[str, str]:
    """Where each setting came from: "preset <name>", "fitted: <why>", "default" or "chosen".

    A chosen value that equals the preset's counts as the preset's.
    """
    name = preset_name(config.env_id, preset)
    values = _values_of(name)
    defaults = Config(config.env_id)
    origin = {}
    for field in dataclasses.fields(Config):
        value = getattr(config, field.name)
        if field.name in fit.values:
            is_fitted = value == fit.values[field.name]
            origin[field.name] = f"{FITTED}: {fit.reasons[field.name]}" if is_fitted else "chosen"
        elif field.name in values:
            origin[field.name] = f"preset {name}" if value == values[field.name] else "chosen"
        else:
            is_default = field.name != "env_id" and value == getattr(defaults, field.name)
            origin[field.name] = "default" if is_default else "chosen"
    return origin


_EFFECTIVE: dict[tuple[str, tuple[str, ...]], tuple[str, ...]] = {
    ("critic", ("bootstrap",)): ("gae_lambda",),
    ("critic", ("bootstrap", "baseline")): ("value_coef",),
    ("actor_step", ("gradient",)): ("learning_rate", "value_coef"),
    ("actor_step", ("natural",)): (
        "natural_kl", "natural_max_step", "natural_damping", "natural_products",
        "critic_epochs", "critic_minibatch", "critic_learning_rate",
    ),
    ("optimizer", ("adam",)): ("adam_beta1", "adam_beta2", "adam_epsilon"),
    ("optimizer", ("rmsprop",)): ("rmsprop_decay", "rmsprop_epsilon"),
    ("schedule", ("linear",)): ("final_learning_rate",),
    ("schedule", ("exponential",)): ("decay_factor", "decay_every_steps"),
}  # fmt: skip
"""Settings that have an effect only if another setting has one of the given values."""


def check_have_effect(config: Config, origins: Mapping[str, str]) -> None:
    """Checks that every chosen setting has an effect.

    Raises:
        UserError: A chosen setting belongs to another actor step, optimizer or schedule than the run's, or to a number
            of steps that the run does not reach.
    """
    end = config.whole_updates(config.total_steps)
    for steps in config.keep_policy_at:
        if steps > end:
            raise UserError(f"keep_policy_at has {steps}, and training ends after {end} steps; it must be at most that")
    if config.cluster == "none" and origins.get("num_actors") == "chosen":
        raise UserError(
            f"num_actors is {config.num_actors}, and cluster is 'none'; actors run on a cluster: choose one"
        )
    for name in ("hidden_sizes", "activation"):
        if is_own(config.network) and origins.get(name) == "chosen":
            raise UserError(
                f"{name} is {shown(getattr(config, name))}, which has no effect where network is {config.network!r}, "
                "whose layers are its own; drop it"
            )
    for (decider, needed), names in _EFFECTIVE.items():
        value = getattr(config, decider)
        for name in names:
            # With natural steps, a linear schedule ends at the fraction final_learning_rate / learning_rate.
            is_ratio = name == "learning_rate" and config.final_learning_rate
            if origins.get(name) == "chosen" and value not in needed and not is_ratio:
                source = origins[decider].partition(":")[0]
                raise UserError(
                    f"{name} is {shown(getattr(config, name))}, which has no effect where {decider} is {value!r} "
                    f"({source}); drop it, or choose {decider} {' or '.join(map(repr, needed))} too"
                )
