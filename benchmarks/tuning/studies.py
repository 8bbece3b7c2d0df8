"""The studies: for each environment, what was tried. Seeds 0 to 9 are for tuning; results are reported on 10 and up."""

from __future__ import annotations

from typing import Any, NamedTuple


class Trial(NamedTuple):
    """Settings that are tried on some seeds."""

    name: str
    settings: dict[str, Any]
    seeds: range


def trials(base: dict[str, Any], variations: dict[str, dict[str, Any]], seeds: int = 2) -> list[Trial]:
    """A base and what differs from it."""
    return [Trial(name, base | changes, range(seeds)) for name, changes in variations.items()]


NORMALIZED: dict[str, Any] = {"normalize_observations": True, "normalize_returns": True, "schedule": "linear"}

CLASSIC: dict[str, Any] = NORMALIZED | {"actor_step": "natural", "natural_kl": 0.02, "rollout_length": 128}
"""Without normalised advantages."""

NATURAL: dict[str, Any] = CLASSIC | {"normalize_advantage": True, "total_steps": 1_000_000, "rollout_length": 256}

PLAIN: dict[str, Any] = NORMALIZED | {"normalize_advantage": True, "total_steps": 1_000_000, "rollout_length": 16}

FIRST: dict[str, dict[str, Any]] = {
    "KL .02": {},
    "KL .01, constant": {"natural_kl": 0.01, "schedule": "constant"},
    "KL .04": {"natural_kl": 0.04},
    "std 1": {"initial_log_std": 0.0},
    "KL .04, std 1": {"natural_kl": 0.04, "initial_log_std": 0.0},
    "20 critic epochs": {"critic_epochs": 20},
    "rollouts of 8 x 128": {"rollout_length": 128},
}

CAPPED: dict[str, Any] = NORMALIZED | {
    "actor_step": "natural",
    "natural_kl": 0.02,
    "natural_max_step": 10.0,
    "total_steps": 1_000_000,
    "rollout_length": 256,
}
"""Steps end where there is little to gain."""

FIXED: dict[str, Any] = NATURAL | {
    "natural_kl": 1.0,
    "natural_max_step": 0.1,
    "num_envs": 16,
    "rollout_length": 64,
    "critic_epochs": 20,
    "critic_minibatch": 1024,
}
"""A tenth of a natural gradient, of normalised advantages, whatever its divergence: Tianshou's NPG."""

SMALL: dict[str, Any] = NORMALIZED | {
    "total_steps": 1_000_000,
    "num_envs": 16,
    "rollout_length": 5,
    "initial_log_std": -0.5,
}
"""Small plain steps, often; advantages as they are: of 80 rows, the largest is not news."""

SWITCHED: dict[str, dict[str, Any]] = {
    "averaged policy (.9 an update)": {"switch": ["averaged", 0.9]},
    "critic of 256-256": {"switch": ["critic_of", 256, 256]},
    "normalised value targets": {"switch": ["normalized_targets"]},
    "scaled values": {"switch": ["scaled_values"]},
    "statistics held from 200,000 steps on": {"switch": ["held", 200_000]},
}
"""What is no setting: `benchmarks.tuning.switches`."""

LAYER_NORM: dict[str, dict[str, Any]] = {"layer normalisation": {"switch": ["layer_norm"], "engine": "paddle"}}

FEW = {name: FIRST[name] for name in ("KL .02", "KL .01, constant")}

LANDER = [
    *trials(NATURAL, {"KL .02": {}, "gamma .999, lambda .98": {"gamma": 0.999, "gae_lambda": 0.98}}, 1),
    *trials(
        CAPPED | {"gae_lambda": 0.98},
        {
            "at most 10 gradients, gamma .999, lambda .98": {"gamma": 0.999},
            "at most 10 gradients, gamma .995, lambda .98": {"gamma": 0.995},
        },
        1,
    ),
    *trials(
        CAPPED | {"gae_lambda": 0.98, "gamma": 0.995},
        {"8 x 128, at most 10 gradients, gamma .995, lambda .98": {"rollout_length": 128}},
    ),
    *trials(
        CAPPED,
        {
            "at most 10 gradients, gamma .99": {},
            "at most 10 gradients, gamma .99, lambda .98": {"gae_lambda": 0.98},
            "8 x 512, at most 10 gradients, gamma .995, lambda .98, KL .04": {
                "gamma": 0.995,
                "gae_lambda": 0.98,
                "rollout_length": 512,
                "natural_kl": 0.04,
            },
            "at most 10 gradients, gamma .999, lambda .98, bonus of .01": {
                "gamma": 0.999,
                "gae_lambda": 0.98,
                "entropy_coef": 0.01,
            },
        },
    ),
    *trials(
        NATURAL | {"total_steps": 200_000, "rollout_length": 128, "gamma": 0.995},
        {"200 k, 8 x 128, gamma .995": {}, "200 k, 8 x 128, gamma .995, lambda .98": {"gae_lambda": 0.98}},
    ),
    *trials(
        CAPPED | {"total_steps": 200_000, "rollout_length": 128, "gae_lambda": 0.98},
        {
            "200 k, 8 x 128, at most 10 gradients, gamma .995, lambda .98": {"gamma": 0.995},
            "200 k, 8 x 128, at most 10 gradients, gamma .999, lambda .98": {"gamma": 0.999},
            "200 k, the same, 20 critic epochs": {"gamma": 0.999, "critic_epochs": 20},
        },
    ),
]

UNBOUNDED: dict[str, Any] = {"natural_max_step": None, "normalize_advantage": True}
"""What takes the bound off again: steps are as long as natural_kl lets them be."""

QUICK: dict[str, Any] = CAPPED | {
    "total_steps": 200_000,
    "rollout_length": 128,
    "natural_kl": 0.04,
    "gae_lambda": 0.98,
}
"""Landers that have a fifth of their preset's steps."""

QUICK_LANDER = trials(
    QUICK,
    {
        "200 k quick, gamma .99": {},
        "200 k quick, gamma .995": {"gamma": 0.995},
        "200 k quick, gamma .999": {"gamma": 0.999},
        "200 k quick, lambda .95": {"gae_lambda": 0.95},
        "200 k quick, KL .08": {"natural_kl": 0.08},
        "200 k quick, constant": {"schedule": "constant"},
        "200 k quick, KL .02, constant": {"natural_kl": 0.02, "schedule": "constant"},
        "200 k quick, 20 critic epochs": {"critic_epochs": 20},
        "200 k quick, no bound": UNBOUNDED,
        "200 k quick, 8 x 64": {"rollout_length": 64},
        "200 k quick, 8 x 256": {"rollout_length": 256},
        "200 k quick, 4 x 256": {"num_envs": 4, "rollout_length": 256},
        "200 k quick, relu": {"activation": "relu"},
        "200 k quick, lambda .9": {"gae_lambda": 0.9},
        "200 k quick, KL .02, lambda .95": {"natural_kl": 0.02, "gae_lambda": 0.95},
        "200 k quick, lambda .95, 8 x 256": {"gae_lambda": 0.95, "rollout_length": 256},
    },
    seeds=5,
)

STUDIES: dict[str, list[Trial]] = {
    "CartPole-v1": trials(
        CLASSIC | {"total_steps": 100_000},
        {
            "8 x 128, KL .02": {},
            "8 x 64, KL .01": {"rollout_length": 64, "natural_kl": 0.01},
            "at most 10 gradients": {"natural_max_step": 10.0},
            "50,000 steps": {"total_steps": 50_000},
        },
        seeds=10,
    ),
    "Acrobot-v1": [
        *trials(
            CLASSIC | {"total_steps": 500_000},
            {
                "8 x 128, KL .02": {},
                "at most 10 gradients": {"natural_max_step": 10.0},
                "8 x 64, at most 10 gradients": {"rollout_length": 64, "natural_max_step": 10.0},
            },
            seeds=5,
        ),
        *trials(
            CAPPED | {"total_steps": 500_000, "rollout_length": 128},
            {
                "at most 10 gradients, gamma .995": {"gamma": 0.995},
                "at most 10 gradients, lambda .98": {"gae_lambda": 0.98},
                "at most 10 gradients, lambda .9": {"gae_lambda": 0.9},
                "at most 10 gradients, 20 critic epochs": {"critic_epochs": 20},
                "at most 30 gradients, KL .04": {"natural_max_step": 30.0, "natural_kl": 0.04},
                "32 x 32, at most 10 gradients": {"num_envs": 32, "rollout_length": 32},
                "32 x 64, at most 10 gradients": {"num_envs": 32, "rollout_length": 64},
                "32 x 64, at most 20 gradients, KL .03": {
                    "num_envs": 32,
                    "rollout_length": 64,
                    "natural_max_step": 20.0,
                    "natural_kl": 0.03,
                },
                "at most 10 gradients, 128-128": {"hidden_sizes": [128, 128]},
                "at most 10 gradients, 256-256": {"hidden_sizes": [256, 256]},
                "at most 10 gradients, relu": {"activation": "relu"},
                "at most 10 gradients, constant": {"schedule": "constant"},
                "at most 10 gradients, gamma .98": {"gamma": 0.98},
                "8 x 256, at most 10 gradients": {"rollout_length": 256},
                "at most 20 gradients": {"natural_max_step": 20.0},
                "at most 10 gradients, bonus of .01": {"entropy_coef": 0.01},
            },
            seeds=5,
        ),
    ],
    "MountainCar-v0": trials(
        CLASSIC | {"total_steps": 1_000_000},
        {"8 x 128, KL .02": {}, "at most 10 gradients": {"natural_max_step": 10.0}},
        seeds=3,
    ),
    "MountainCarContinuous-v0": trials(
        CLASSIC | {"total_steps": 100_000, "rollout_length": 256},
        {
            "std .5": {},
            "std 1": {"initial_log_std": 0.0},
            "std 1.6": {"initial_log_std": 0.5},
            "std 1.6, 8 x 500, KL .03, gamma .999": {
                "initial_log_std": 0.5,
                "rollout_length": 500,
                "natural_kl": 0.03,
                "gamma": 0.999,
            },
            "std 1.6, 8 x 1000, KL .04, gamma .999": {
                "initial_log_std": 0.5,
                "rollout_length": 1000,
                "natural_kl": 0.04,
                "gamma": 0.999,
            },
        },
        seeds=10,
    ),
    "Pendulum-v1": trials(
        CLASSIC | {"total_steps": 1_000_000, "gamma": 0.95},
        {
            "8 x 512": {"rollout_length": 512},
            "8 x 512, at most 10 gradients": {"rollout_length": 512, "natural_max_step": 10.0},
            "8 x 512, std 1": {"rollout_length": 512, "initial_log_std": 0.0},
            "8 x 256, std 1": {"rollout_length": 256, "initial_log_std": 0.0},
        },
        seeds=10,
    ),
    "HalfCheetah-v5": [
        *trials(NATURAL, FIRST),
        *trials(NATURAL, {"KL .01, constant, 20 critic epochs": FIRST["KL .01, constant"] | FIRST["20 critic epochs"]}),
        *trials(
            CAPPED,
            {"KL .02, at most 10 gradients": {}, "at most 10 gradients, 20 critic epochs": FIRST["20 critic epochs"]},
        ),
        *trials(
            FIXED,
            {
                "a tenth of a gradient, 16 x 64, critic 20 x all": {},
                "a tenth of a gradient, 16 x 64, critic 10 x 128": {"critic_epochs": 10, "critic_minibatch": 128},
                "a tenth of a gradient, 16 x 128, critic 20 x 256": {"rollout_length": 128, "critic_minibatch": 256},
            },
            seeds=3,
        ),
        *trials(
            FIXED | {"critic_epochs": 10, "critic_minibatch": 128},
            {
                "the same, critic 10 x 128, lambda .97": {"gae_lambda": 0.97},
                "the same, 128-128": {"hidden_sizes": [128, 128]},
                "the same, constant": {"schedule": "constant"},
                "the same, 7 hundredths": {"natural_max_step": 0.07},
                "the same, 7 hundredths, 16 x 32": {"natural_max_step": 0.07, "rollout_length": 32},
            },
        ),
        *trials(
            NATURAL | FIRST["20 critic epochs"],
            {
                "KL .02, constant, 20 critic epochs": {"schedule": "constant"},
                "KL .03, 20 critic epochs": {"natural_kl": 0.03},
                "20 critic epochs, lambda .97": {"gae_lambda": 0.97},
                "20 critic epochs, gamma .98": {"gamma": 0.98},
            },
        ),
        *trials(NATURAL | FIRST["20 critic epochs"], {"20 critic epochs, lambda .9": {"gae_lambda": 0.9}}, 4),
        *trials(
            NATURAL | FIRST["20 critic epochs"] | {"gae_lambda": 0.9},
            {
                "lambda .9, KL .02, constant": {"schedule": "constant"},
                "lambda .85": {"gae_lambda": 0.85},
                "lambda .85, KL .02, constant": {"gae_lambda": 0.85, "schedule": "constant"},
            },
            seeds=4,
        ),
        *trials(
            NATURAL | FIRST["20 critic epochs"],
            {
                "lambda .9, std .37": {"gae_lambda": 0.9, "initial_log_std": -1.0},
                "lambda .8": {"gae_lambda": 0.8},
                "lambda .8, KL .02, constant": {"gae_lambda": 0.8, "schedule": "constant"},
            },
        ),
        *trials(NATURAL | FIRST["20 critic epochs"], SWITCHED),
        *trials(NATURAL | FIRST["20 critic epochs"], LAYER_NORM, 1),
    ],
    "Hopper-v5": [
        *trials(NATURAL, FEW),
        *trials(
            CAPPED,
            {
                "KL .02, at most 10 gradients": {},
                "std 1, at most 10 gradients": {"initial_log_std": 0.0},
                "at most 10 gradients, gamma .995, lambda .97": {"gamma": 0.995, "gae_lambda": 0.97},
            },
            seeds=5,
        ),
        *trials(CAPPED, SWITCHED),
        *trials(CAPPED, LAYER_NORM, 1),
    ],
    "Walker2d-v5": [*trials(NATURAL, FEW), *trials(CAPPED, {"KL .02, at most 10 gradients": {}})],
    "Swimmer-v5": trials(
        NATURAL | {"gamma": 0.9999},
        {
            "KL .02": {},
            "2 x 1024": {"num_envs": 2, "rollout_length": 1024},
            "2 x 1024, lambda .98": {"num_envs": 2, "rollout_length": 1024, "gae_lambda": 0.98},
            "2 x 1024, lambda .98, 20 critic epochs, KL .01 constant": {
                "num_envs": 2,
                "rollout_length": 1024,
                "gae_lambda": 0.98,
                "critic_epochs": 20,
                "natural_kl": 0.01,
                "schedule": "constant",
            },
        },
        seeds=1,
    ),
    "InvertedDoublePendulum-v5": [
        *trials(NATURAL, {"KL .02": {}, "KL .01, constant": FIRST["KL .01, constant"]}, 1),
        *trials(CAPPED, {"KL .02, at most 10 gradients": {}, "at most 3": {"natural_max_step": 3.0}}, 1),
        *trials(
            CAPPED,
            {
                "at most 10 gradients": {},
                "at most 10 gradients, gamma .995": {"gamma": 0.995},
                "at most 10 gradients, gamma .98": {"gamma": 0.98},
                "at most 10 gradients, lambda .9": {"gae_lambda": 0.9},
                "at most 10 gradients, lambda .98": {"gae_lambda": 0.98},
                "at most 10 gradients, 20 critic epochs": {"critic_epochs": 20},
                "at most 10 gradients, constant": {"schedule": "constant"},
                "8 x 512, at most 10 gradients": {"rollout_length": 512},
                "8 x 128, at most 10 gradients": {"rollout_length": 128},
                "at most 10 gradients, std 1": {"initial_log_std": 0.0},
                "8 x 512, at most 10 gradients, lambda .98": {"rollout_length": 512, "gae_lambda": 0.98},
                "no bound": UNBOUNDED,
            },
            3,
        ),
    ],
    "InvertedPendulum-v5": [
        *trials(NATURAL, {"KL .02": {}}, 1),
        *trials(CAPPED, {"KL .02, at most 10 gradients": {}}, 1),
    ],
    "Reacher-v5": [
        *trials(
            NATURAL,
            {
                "KL .02": {},
                "KL .01, constant": FIRST["KL .01, constant"],
                "gamma .95": {"gamma": 0.95},
                "gamma .9": {"gamma": 0.9},
                "gamma .95, 20 critic epochs": {"gamma": 0.95, "critic_epochs": 20},
            },
            1,
        ),
        *trials(CAPPED, {"KL .02, at most 10 gradients": {}, "at most 10 gradients, gamma .95": {"gamma": 0.95}}, 1),
    ],
    "LunarLander-v3": [*LANDER, *QUICK_LANDER],
    "LunarLanderContinuous-v3": [
        *LANDER,
        *QUICK_LANDER,
        *trials(
            QUICK | {"initial_log_std": 0.0},
            {
                "200 k quick, std 1": {},
                "200 k quick, std 1, gamma .995": {"gamma": 0.995},
                "200 k quick, std 1, KL .02": {"natural_kl": 0.02},
                "200 k quick, std 1, KL .02, lambda .95": {"natural_kl": 0.02, "gae_lambda": 0.95},
                "200 k quick, std 1, 8 x 256": {"rollout_length": 256},
                "200 k quick, std 1, lambda .95": {"gae_lambda": 0.95},
                "200 k quick, std 1, lambda .95, 8 x 256": {"gae_lambda": 0.95, "rollout_length": 256},
                "200 k quick, std 1, KL .02, lambda .95, 8 x 256": {
                    "natural_kl": 0.02,
                    "gae_lambda": 0.95,
                    "rollout_length": 256,
                },
                "200 k quick, std 1, KL .08, 8 x 256": {"natural_kl": 0.08, "rollout_length": 256},
                "200 k quick, std 1, KL .08, 8 x 256, gamma .995": {
                    "natural_kl": 0.08,
                    "rollout_length": 256,
                    "gamma": 0.995,
                },
                "200 k quick, std 1, KL .16, 8 x 256": {"natural_kl": 0.16, "rollout_length": 256},
                "200 k quick, std 1, KL .12, 8 x 512": {"natural_kl": 0.12, "rollout_length": 512},
                "200 k quick, std 1, KL .08, 8 x 256, at most 20 gradients": {
                    "natural_kl": 0.08,
                    "rollout_length": 256,
                    "natural_max_step": 20.0,
                },
                "200 k quick, std 1.6, gamma .995": {"gamma": 0.995, "initial_log_std": 0.5},
            },
            seeds=5,
        ),
        *trials(
            CAPPED | {"rollout_length": 128, "initial_log_std": 0.0},
            {
                "8 x 128, at most 10 gradients, gamma .995, lambda .98, std 1": {"gamma": 0.995, "gae_lambda": 0.98},
                "200 k, the same": {"gamma": 0.995, "gae_lambda": 0.98, "total_steps": 200_000},
                "200 k, 8 x 128, at most 10 gradients, std 1": {"total_steps": 200_000},
            },
        ),
        *trials(
            CAPPED | {"total_steps": 200_000, "rollout_length": 128, "gamma": 0.995, "gae_lambda": 0.98},
            {
                "200 k short, 20 critic epochs": {"critic_epochs": 20},
                "200 k short, KL .04": {"natural_kl": 0.04},
                "200 k short, at most 30 gradients": {"natural_max_step": 30.0},
                "200 k short, 8 x 64": {"rollout_length": 64},
                "200 k short, 8 x 256, KL .04": {"rollout_length": 256, "natural_kl": 0.04},
                "200 k short, gamma .99": {"gamma": 0.99},
                "200 k short, lambda .95": {"gae_lambda": 0.95},
                "200 k short, std .3": {"initial_log_std": -1.2},
                "200 k short, constant": {"schedule": "constant"},
            },
            3,
        ),
    ],
    "BipedalWalker-v3": [
        *trials(NATURAL | {"total_steps": 5_000_000}, {"5 M, KL .02": {}}, 1),
        *trials(
            CAPPED | {"total_steps": 5_000_000},
            {
                "5 M, at most 10 gradients": {},
                "5 M, at most 10 gradients, gamma .999, lambda .98": {"gamma": 0.999, "gae_lambda": 0.98},
                "5 M, 8 x 512, at most 10 gradients, gamma .995, lambda .98, KL .04": {
                    "gamma": 0.995,
                    "gae_lambda": 0.98,
                    "rollout_length": 512,
                    "natural_kl": 0.04,
                },
            },
            1,
        ),
    ],
    "Ant-v5": [
        *trials(CAPPED, {"natural, KL .02, at most 10 gradients": {}}, 1),
        *trials(NATURAL, {"natural, KL .02": {}}, 1),
        *trials(PLAIN, {"plain": {}, "plain, std .25": {"initial_log_std": -1.4}}, 1),
        *trials(
            SMALL,
            {
                "plain, 16 x 5, std .6, advantages as they are": {},
                "plain, 8 x 16, std .25, advantages as they are": {
                    "num_envs": 8,
                    "rollout_length": 16,
                    "initial_log_std": -1.4,
                },
            },
            1,
        ),
        *trials(
            PLAIN | {"initial_log_std": -1.4},
            {
                "plain, std .25, critic of 256-256": SWITCHED["critic of 256-256"],
                "plain, std .25, one more pass of the critic": {"switch": ["critic_passes", 1, 128]},
                "plain, std .25, four more passes of the critic": {"switch": ["critic_passes", 4, 128]},
            },
            1,
        ),
    ],
    "Humanoid-v5": [
        *trials(
            PLAIN,
            {
                "plain": {},
                "plain, 16 x 5": {"num_envs": 16, "rollout_length": 5},
                "plain, 16 x 5, std .25": {"num_envs": 16, "rollout_length": 5, "initial_log_std": -1.4},
                "plain, 16 x 5, std .14": {"num_envs": 16, "rollout_length": 5, "initial_log_std": -2.0},
            },
            1,
        ),
        *trials(
            SMALL,
            {
                "plain, 16 x 5, std .6, advantages as they are": {},
                "plain, 16 x 5, std .6, advantages as they are, RMSprop": {"optimizer": "rmsprop"},
            },
            1,
        ),
        *trials(CAPPED, {"natural, KL .02, at most 10 gradients": {}}, 1),
        *trials(NATURAL, {"natural, KL .02": {}, "natural, KL .02, std .25": {"initial_log_std": -1.4}}, 1),
        *trials(
            FIXED,
            {
                "a tenth of a gradient, 16 x 64, critic 20 x all": {},
                "16 x 64, critic 20 x all, KL .01, constant": {
                    "natural_kl": 0.01,
                    "natural_max_step": None,
                    "schedule": "constant",
                },
            },
            1,
        ),
    ],
}

FITTED: dict[str, Any] = CAPPED | {"total_steps": 200_000, "rollout_length": 128}
"""What `a2c.fitting` chose for inputs up to 64, before these studies."""

WITHOUT_PRESET = trials(
    FITTED,
    {
        "default": {},
        "default, at most 30 gradients": {"natural_max_step": 30.0},
        "default, no bound": UNBOUNDED,
        "default, no bound, 8 x 256": UNBOUNDED | {"rollout_length": 256},
        "default, no bound, constant": UNBOUNDED | {"schedule": "constant"},
        "default, no bound, std 1": UNBOUNDED | {"initial_log_std": 0.0},
        "default, no bound, 20 critic epochs": UNBOUNDED | {"critic_epochs": 20},
        "default, no bound, KL .04": UNBOUNDED | {"natural_kl": 0.04},
        "default, 8 x 256, KL .04": {"rollout_length": 256, "natural_kl": 0.04},
        "default, std 1": {"initial_log_std": 0.0},
        "default, constant": {"schedule": "constant"},
        "default, std 1, constant": {"initial_log_std": 0.0, "schedule": "constant"},
        "default, std 1, at most 30 gradients": {"initial_log_std": 0.0, "natural_max_step": 30.0},
        "default, std 1, at most 30 gradients, constant": {
            "initial_log_std": 0.0,
            "natural_max_step": 30.0,
            "schedule": "constant",
        },
        "default, std 1, 8 x 256, KL .04": {"initial_log_std": 0.0, "rollout_length": 256, "natural_kl": 0.04},
        "default, at most 100 gradients": {"natural_max_step": 100.0},
        "default, at most 100 gradients, constant": {"natural_max_step": 100.0, "schedule": "constant"},
        "default, no bound, KL .01, constant": UNBOUNDED | {"natural_kl": 0.01, "schedule": "constant"},
    },
    seeds=3,
)
"""What does well everywhere, in the steps that defaults are compared at."""

for _env in ("Hopper-v5", "Walker2d-v5", "HalfCheetah-v5", "LunarLander-v3", "LunarLanderContinuous-v3", "Pendulum-v1"):
    STUDIES[_env] = [*STUDIES[_env], *WITHOUT_PRESET]

STUDIES["LunarLander-v3"] += trials(
    FITTED | {"schedule": "constant"},
    {
        "200 k steady": {},
        "200 k steady, no bound": UNBOUNDED,
        "200 k steady, KL .01": {"natural_kl": 0.01},
        "200 k steady, KL .03": {"natural_kl": 0.03},
        "200 k steady, KL .01, gamma .995": {"natural_kl": 0.01, "gamma": 0.995},
        "200 k steady, KL .01, lambda .98": {"natural_kl": 0.01, "gae_lambda": 0.98},
        "200 k steady, KL .01, 4 x 256": {"natural_kl": 0.01, "num_envs": 4, "rollout_length": 256},
        "200 k steady, KL .007": {"natural_kl": 0.007},
        "200 k steady, 8 x 64": {"rollout_length": 64},
        "200 k steady, lambda .9": {"gae_lambda": 0.9},
        "200 k steady, no bound, 8 x 64, KL .01": UNBOUNDED | {"rollout_length": 64, "natural_kl": 0.01},
        "200 k steady, no bound, lambda .9": UNBOUNDED | {"gae_lambda": 0.9},
    },
    seeds=10,
)

STUDIES["LunarLander-v3"] += trials(
    QUICK | {"rollout_length": 256},
    {
        "200 k quick, 8 x 256": {},
        "200 k quick, 8 x 256, KL .06": {"natural_kl": 0.06},
        "200 k quick, 8 x 256, KL .02, constant": {"natural_kl": 0.02, "schedule": "constant"},
    },
    seeds=10,
)

OFTEN: dict[str, Any] = {
    "total_steps": 200_000,
    "rollout_length": 5,
    "gamma": 0.995,
    "gae_lambda": 1.0,
    "learning_rate": 8.3e-4,
    "schedule": "linear",
    "entropy_coef": 1e-5,
}
"""What RL Baselines3 Zoo has for A2C on LunarLander."""

STUDIES["LunarLander-v3"] += trials(
    OFTEN,
    {
        "200 k often, RMSprop": {"optimizer": "rmsprop"},
        "200 k often": {},
        "200 k often, normalised": NORMALIZED,
        "200 k often, normalised, lambda .95": NORMALIZED | {"gae_lambda": 0.95},
        "200 k often, 8 x 16, lambda .95, normalised": NORMALIZED | {"gae_lambda": 0.95, "rollout_length": 16},
    },
    seeds=5,
)
STUDIES["LunarLander-v3"] += trials(
    CAPPED | {"total_steps": 200_000, "rollout_length": 128},
    {
        "200 k bonus of .01": {"entropy_coef": 0.01},
        "200 k bonus of .01, gamma .995, lambda .98": {"entropy_coef": 0.01, "gamma": 0.995, "gae_lambda": 0.98},
        "200 k critic .003": {"critic_learning_rate": 3e-3},
    },
    seeds=5,
)
MORE_INPUTS: dict[str, Any] = {"hidden_sizes": [128, 128]}
"""What fits up to 512 inputs."""

for _env in ("Ant-v5", "Humanoid-v5"):
    STUDIES[_env] += trials(
        FITTED | MORE_INPUTS,
        {
            "default, natural, constant": {"schedule": "constant"},
            "default, natural, std 1, constant": {"schedule": "constant", "initial_log_std": 0.0},
        },
        seeds=3,
    )
    STUDIES[_env] += trials(
        NORMALIZED | MORE_INPUTS | {"total_steps": 200_000, "rollout_length": 16},
        {"default, plain": {}, "default, plain, std 1": {"initial_log_std": 0.0}},
        seeds=3,
    )
