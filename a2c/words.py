"""Command lines as people write them: numbers like 1e6, lists with commas, and other libraries' names of settings."""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from a2c.errors import UserError, shown

ELSEWHERE: dict[str, str] = {
    # Stable-Baselines3, RL-Zoo3, CleanRL, Tianshou, RLlib -> ours, by the name of the field.
    "lr": "learning_rate", "timesteps": "total_steps", "total_timesteps": "total_steps", "n_timesteps": "total_steps",
    "steps": "total_steps", "max_steps": "total_steps", "n_envs": "num_envs", "envs": "num_envs",
    "training_num": "num_envs", "n_steps": "rollout_length", "num_steps": "rollout_length",
    "rollout_steps": "rollout_length", "step_per_collect": "rollout_length", "ent_coef": "entropy_coef",
    "entropy_coeff": "entropy_coef", "vf_coef": "value_coef", "vf_loss_coeff": "value_coef", "lam": "gae_lambda",
    "lambda": "gae_lambda", "grad_clip": "max_grad_norm", "net_arch": "hidden_sizes", "hidden": "hidden_sizes",
    "hidden_size": "hidden_sizes", "log_std_init": "initial_log_std", "logdir": "run_dir", "log_dir": "run_dir",
    "output": "run_dir", "save_path": "run_dir", "log_folder": "run_dir", "eval_freq": "eval_every_steps",
    "reward_threshold": "stop_at_return", "n_eval_episodes": "eval_episodes",
    "log_interval": "log_every_steps", "cuda": "device", "gpu": "device",
    "workers": "num_workers", "n_jobs": "num_workers", "threads": "num_threads", "time_limit": "max_episode_steps",
    "anneal_lr": "schedule", "normalize": "normalize_observations", "norm_adv": "normalize_advantage",
    "lstm_hidden_size": "memory_size", "use_lstm": "memory_size", "use_rnn": "memory_size", "recurrent": "memory_size",
    "lstm_cell_size": "memory_size", "rnn_hidden_size": "memory_size", "gru": "memory_size", "lstm": "memory_size",
    "tensorboard_log": "log", "track": "log", "load": "start_from", "trained_agent": "start_from",
    "share_features_extractor": "share_torso", "info_keywords": "log_info", "record_at": "keep_policy_at",
}  # fmt: skip

NOWHERE: dict[str, str] = {
    "env": "the environment is the first word, as in a2c train CartPole-v1",
    "env_id": "the environment is the first word, as in a2c train CartPole-v1",
    "algo": "there is one algorithm, A2C",
    "epochs": "each rollout is used for one update",
    "n_epochs": "each rollout is used for one update",
    "batch_size": "a batch is a whole rollout, num_envs x rollout_length steps",
    "minibatch_size": "a batch is a whole rollout, num_envs x rollout_length steps",
    "clip": "only gradients are clipped: max_grad_norm",
    "clip_range": "only gradients are clipped: max_grad_norm",
    "buffer_size": "A2C has no replay buffer",
    "render": "`a2c watch RUN` shows a policy",
    "verbose": "--quiet, or progress in Python, decides whether anything is printed",
}

VERBS: dict[str, str] = {
    "run": "train", "learn": "train", "fit": "train", "test": "evaluate", "eval": "evaluate", "play": "watch",
    "enjoy": "watch", "view": "watch", "continue": "resume", "video": "record", "curves": "plot", "bench": "benchmark",
    "tensorboard": "board", "visualdl": "board",
}  # fmt: skip


def elsewhere(name: str, show: typing.Callable[[str], str]) -> str | None:
    """A sentence on what another library's setting is called here; None if the name is unknown.

    Args:
        name: The name, written as a field's.
        show: How to write the name of a setting.
    """
    if name in ELSEWHERE:
        return f"there is no {show(name)}; here it is {show(ELSEWHERE[name])}"
    return f"there is no {show(name)}; {NOWHERE[name]}" if name in NOWHERE else None


def flag(name: str) -> str:
    """The flag of a field."""
    return "--" + name.replace("_", "-")


def as_meant(words: Sequence[str], annotations: Mapping[str, Any]) -> list[str]:
    """The words in the form that the parser reads: 1e6 -> 1000000, 256,256 -> 256 256, --json=true -> --json.

    Args:
        words: The words after `a2c`.
        annotations: The type of each field that is a flag.

    Raises:
        UserError: A flag does not take its value.

    Example:
        >>> as_meant(["--total-steps", "1e6", "--hidden-sizes", "256,256"],
        ...          {"total_steps": int, "hidden_sizes": tuple[int, ...]})
        ['--total-steps', '1000000', '--hidden-sizes', '256', '256']
    """
    result: list[str] = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        name, equals, value = word.removeprefix("--").partition("=")
        field = name.replace("-", "_")
        kind = annotations.get(field)
        if not word.startswith("--") or kind is None:
            result.append(word)
            continue
        values = [value] if equals else []
        items_kind = next((one for one in (kind, *typing.get_args(kind)) if typing.get_origin(one) is tuple), None)
        if items_kind is not None:
            while not equals and rest and not rest[0].startswith("--"):
                values.append(rest.pop(0))
            items = [item for item in re.split(r"[\s,()\[\]]+", " ".join(values)) if item]
            (inner, *_) = typing.get_args(items_kind)
            if items == ["None"] and type(None) in _kinds(kind):
                inner = kind
            result += [f"--{name}", *(_number(field, item, inner) for item in items)]
        elif kind is bool and (equals or (rest and rest[0].lower() in _BOOLEANS)):
            result.append(f"--{name}" if _boolean(field, value if equals else rest.pop(0)) else f"--no-{name}")
        elif _kinds(kind) & {int, float} and (equals or rest):
            result += [f"--{name}", _number(field, value if equals else rest.pop(0), kind)]
        else:
            result.append(word)
    return result


_BOOLEANS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}


def _boolean(field: str, text: str) -> bool:
    if text.lower() not in _BOOLEANS:
        raise UserError(f"{field} is {shown(text)}; it must be true or false")
    return _BOOLEANS[text.lower()]


def _kinds(annotation: Any) -> set[Any]:
    """The plain types and literals that a flag takes."""
    origin = typing.get_origin(annotation)
    if origin in (typing.Union, types.UnionType):
        return set().union(*(_kinds(one) for one in typing.get_args(annotation)))
    if origin is Literal:
        return set(typing.get_args(annotation))
    return {annotation}


def _number(field: str, text: str, annotation: Any) -> str:
    """The text of a number in the form that the parser reads."""
    kinds = _kinds(annotation)
    if text in kinds or (text == "None" and type(None) in kinds) or not kinds & {int, float}:
        return text
    digits = text.replace("_", "") if re.fullmatch(r"-?[0-9_.]+([eE][-+]?[0-9]+)?", text) else text
    if re.fullmatch(r"-?[0-9]+", digits):
        return digits
    others = [f"{kind!r}" for kind in kinds if isinstance(kind, str)] + (["None"] if type(None) in kinds else [])
    right = " or ".join([("a number" if float in kinds else "a whole number"), *others])
    try:
        number = float(digits)
    except ValueError as error:
        raise UserError(f"{field} is {shown(text)}; it must be {right}") from error
    if float in kinds:
        return digits
    if not number.is_integer() or abs(number) >= 2**63:
        raise UserError(f"{field} is {text}; it must be {right}")
    return str(int(number))
