"""Config: everything that defines a run, in one frozen dataclass. Its fields are the flags of `a2c train`."""

from __future__ import annotations

import dataclasses
import difflib
import functools
import hashlib
import json
import math
import os
import re
import types
import typing
from typing import Annotated, Any, Literal

import numpy as np
import tyro

from a2c.errors import UserError, shown
from a2c.model import MOST_REMEMBERED, Activation, Initialization
from a2c.model.images import RIGHT_NETWORK, image_network
from a2c.model.own import name_of
from a2c.words import elsewhere

_JSON_OBJECT = tyro.constructors.PrimitiveConstructorSpec[dict[str, Any]](
    nargs=1,
    metavar="JSON",
    instance_from_str=lambda words: json.loads(words[0]),
    is_instance=lambda value: isinstance(value, dict),
    str_from_instance=lambda value: [json.dumps(value)],
)

Writer = Literal["visualdl", "tensorboard", "wandb", "mlflow"]


@dataclasses.dataclass(frozen=True)
class Environment:
    """The environment, and where it runs."""

    env_id: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="ENV")]
    """Gymnasium id, or `module:Id` to import a module that registers it."""
    env_kwargs: Annotated[dict[str, Any], _JSON_OBJECT] = dataclasses.field(default_factory=dict)
    """Arguments of the environment's constructor, as a JSON object."""
    num_envs: int = 8
    """How many environments are stepped side by side (N)."""
    vectorization: Literal["auto", "compiled", "local", "workers", "vector"] = "auto"
    """How environments are run. compiled: a2c's compiled version, with the same dynamics but other random resets.
    local: the environment itself, in this process. workers: also in worker processes, with the same results as local.
    vector: a vector environment, registered under the id or made by your callable; its episodes cannot be restored on
    resume. auto: compiled if there is such a version, otherwise local or workers, whichever is faster."""
    num_workers: int | Literal["auto"] = "auto"
    """Worker processes in addition to this one. auto: one for each spare core."""
    isolate_envs: bool = False
    """Run every environment in a worker process. By default this process steps a share of them and runs evaluations."""
    cluster: str = "none"
    """Step environments and choose actions in actors of a Ray cluster. local: a cluster started on this machine. auto:
    the one this machine belongs to. HOST:PORT or ray://HOST:PORT: that one. none: no cluster. Several seeds, and trials
    of a2c tune, are trained there as a whole instead, each in an actor. Never changes results."""
    num_actors: int | Literal["auto"] = "auto"
    """Actors on the cluster; each gets a share of the environments of one run. auto: one for each CPU. Never changes
    results."""
    max_episode_steps: int | None = None
    """Truncate episodes after this many steps, in training and evaluation. None: only the environment's own limit."""
    atari_preprocessing: bool = False
    """Preprocess Atari games as Mnih et al. (2015) did: repeat each action for 4 frames, combine the last two into one
    of 84 x 84 gray pixels, begin with up to 30 frames without action, and press FIRE if the game waits for it."""
    frame_stack: int = 1
    """Observe this many of the latest frames at once. Discrete parts, texts and masks come from the latest alone."""
    text_words: int = 0
    """Observe the first this many words of each text in observations. 0: leave texts out."""
    terminal_on_life_loss: bool = False
    """Learn from a lost life (info["lives"]) as from a termination. The episode goes on: reported returns are those of
    whole episodes."""
    reward_weights: tuple[float, ...] | None = None
    """Weights of the parts of a vector reward, whose weighted sum is learnt from. None: the reward is one number."""
    env_timeout_seconds: float = 60.0
    """A call of the environment that takes longer counts as hung: its worker is replaced, or the run ends if the
    environment is in this process."""


@dataclasses.dataclass(frozen=True)
class Algorithm:
    """How long to train, and what the loss is made of."""

    total_steps: int = 500_000
    """Steps to train for, over all environments; rounded up to whole rollouts."""
    rollout_length: int = 8
    """Steps per environment and update (T)."""
    gamma: float = 0.99
    """Discount factor."""
    gae_lambda: float = 0.95
    """Lambda of generalised advantage estimation; 1 gives n-step returns."""
    critic: Literal["bootstrap", "baseline", "none"] = "bootstrap"
    """What the critic is used for. bootstrap: its value of the next state stands for the rewards still to come (see
    gae_lambda). baseline: its value is subtracted from the observed return: REINFORCE with a baseline. none: the
    observed return alone: REINFORCE, without a critic. baseline and none treat a time limit as a termination, and steps
    whose episode does not end within the rollout weigh 0 in the losses, so rollouts should be several times as long as
    episodes."""
    collect: Literal["in_turn", "ahead"] = "in_turn"
    """in_turn: a rollout is collected with the newest parameters, while nothing is learnt. ahead: with those of one
    update before, so that the actors of a cluster collect the next rollout while this process learns from the last.
    That is another algorithm, which saves time only on a cluster, and may learn less from a step."""
    value_coef: float = 0.5
    """Weight of the value loss, a mean squared error (without a factor 1/2)."""
    entropy_coef: float = 0.0
    """Weight of the entropy bonus, a mean over the rollout."""
    clip_rewards: bool = False
    """Learn from the sign of each reward (-1, 0 or 1), as Mnih et al. (2015) did. Reported returns are not clipped."""
    normalize_advantage: bool = False
    """Shift and scale each rollout's advantages to mean 0 and standard deviation 1. Natural steps always shift them."""
    max_grad_norm: float | None = 0.5
    """Scale gradients down to at most this global norm. None: never."""


@dataclasses.dataclass(frozen=True)
class Optimization:
    """How the gradient moves the parameters."""

    optimizer: Literal["adam", "rmsprop"] = "adam"
    """adam, or rmsprop with epsilon inside the square root."""
    adam_beta1: float = 0.9
    """Adam's decay of the first moment."""
    adam_beta2: float = 0.999
    """Adam's decay of the second moment."""
    adam_epsilon: float = 1e-8
    """Adam's epsilon."""
    rmsprop_decay: float = 0.99
    """RMSprop's decay of the mean square."""
    rmsprop_epsilon: float = 1e-5
    """RMSprop's epsilon."""
    learning_rate: float = 7e-4
    """Learning rate at the start. Natural steps do not use it: they have natural_kl and critic_learning_rate."""
    schedule: Literal["constant", "linear", "exponential"] = "constant"
    """How the learning rate falls. linear: to final_learning_rate over total_steps. exponential: by decay_factor every
    decay_every_steps."""
    final_learning_rate: float = 0.0
    """Learning rate at the end of the linear schedule."""
    decay_factor: float = 0.92
    """Factor of the exponential schedule."""
    decay_every_steps: int = 16_000
    """The exponential schedule multiplies once every this many steps."""
    actor_step: Literal["gradient", "natural"] = "gradient"
    """How an update moves the networks. gradient: one optimizer step for actor and critic. natural: the actor takes one
    step along the natural gradient, of KL divergence natural_kl; then the critic makes critic_epochs passes over the
    rollout."""
    natural_kl: float = 0.01
    """How far a natural step moves the policy at most: KL divergence in nats."""
    natural_max_step: float | None = None
    """Longest natural step, as a multiple of the natural gradient. When there is little left to gain, the gradient is
    mostly noise, and a step of natural_kl would follow that noise. The bound depends on the size of advantages, so use
    it with normalize_returns and without normalize_advantage. None: every step has natural_kl."""
    natural_damping: float = 0.1
    """Number added to the diagonal of the Fisher matrix."""
    natural_products: int = 10
    """Conjugate gradient iterations per natural step; each multiplies by the Fisher matrix once."""
    critic_epochs: int = 10
    """Passes of the critic over each rollout; only with natural steps."""
    critic_minibatch: int = 128
    """Minibatch size of these passes, in rows of the rollout."""
    critic_learning_rate: float = 1e-3
    """Learning rate of these passes. The schedule scales it and natural_kl as it scales learning_rate."""


@dataclasses.dataclass(frozen=True)
class Model:
    """The networks, their initial values and their inputs."""

    network: str = "auto"
    """Layers that process images. nature: the convolutions of Mnih et al. (2015). small: three 2 x 2 convolutions, for
    grids of a few cells. mlp: none; images are treated as plain numbers. auto: nature for images of 36 x 36 to about
    200 x 200 pixels, otherwise mlp. Convolutions of your own: 32x8/4,64x4/2,64x3,512 is the same as nature, written as
    filters x kernel / stride, then the units of the dense layer; an s after a layer pads it (same padding).
    module:Class: your paddle.nn.Layer replaces convolutions and hidden layers; actor and critic have one each."""
    share_torso: bool = True
    """Actor and critic share the convolutions and the dense layer after them, and both train these. False: the critic
    has its own. Hidden layers are always separate. Memory is always shared, and sees what the actor sees."""
    memory_size: int = 0
    """Units of a gated recurrent unit (GRU) that carries memory from step to step; a multiple of 16. Actor and critic
    see its output beside their other inputs. Gradients flow back through the whole rollout. 0: no memory."""
    hidden_sizes: tuple[int, ...] = (64, 64)
    """Widths of the hidden layers; actor and critic have the same."""
    activation: Activation = "tanh"
    """Activation of the hidden layers."""
    initialization: Initialization = "orthogonal"
    """How initial weights are drawn."""
    initial_log_std: float = -0.7
    """Log standard deviation of continuous actions at the start, in units of half the range of the action space."""
    start_from: str | None = None
    """Run folder or .safetensors file with the initial parameters; of a run, those of its best policy. None: draw them
    from the seed."""
    start_from_sha256: str | None = None
    """SHA-256 that this file must have. Filled in when the run begins."""
    normalize_observations: bool = False
    """Normalise observations with running estimates of mean and variance. When these change, the first layers are
    adjusted so that the policy stays the same (not in the first steps, while the estimates are rough)."""
    normalize_returns: bool = False
    """Divide rewards by a running estimate of the discounted return's standard deviation."""


@dataclasses.dataclass(frozen=True)
class Course:
    """The seed, the hardware, and what is logged, evaluated and saved."""

    seed: int = 0
    """Everything random in the run follows from it."""
    engine: Literal["auto", "compiled", "paddle"] = "auto"
    """compiled: a2c's kernels on the CPU. paddle: PaddlePaddle. auto: paddle for another device, several images per
    observation or a network of your own, otherwise compiled."""
    num_threads: int | Literal["auto"] = "auto"
    """Threads of the compiled engine. auto: one per core. Never changes results."""
    device: str = "cpu"
    """Device of the Paddle engine: cpu, gpu or gpu:N."""
    run_dir: str = "runs"
    """Folder in which the run's own folder is made."""
    log_every_steps: int = 1_000
    """Steps between two records of the metrics, each an average since the one before."""
    log_info: tuple[str, ...] = ()
    """Names of numbers in the info of an episode's last step, such as success,energy; their means over episodes are
    recorded. A dot reads from a nested dict: costs.energy."""
    log: tuple[Writer, ...] = ()
    """Where to log curves in addition to metrics.jsonl, which is always written. wandb: offline, unless WANDB_MODE says
    otherwise. mlflow: to mlflow.db in run_dir, unless MLFLOW_TRACKING_URI says otherwise."""
    eval_every_steps: int = 10_000
    """Steps between two evaluations; the best policy so far is saved. 0: evaluate only at the end."""
    eval_episodes: int = 10
    """Episodes per evaluation."""
    eval_greedy: bool = True
    """Evaluate with the most probable action instead of a sampled one."""
    final_eval_episodes: int | Literal["auto"] = "auto"
    """Episodes of the two greedy evaluations at the end of the run, of the best and of the final policy. 0: none. auto:
    100, or fewer if these would take more than a fifth of total_steps, but at least 10."""
    eval_num_envs: int | Literal["auto"] = "auto"
    """Environments that evaluations step side by side. auto: as many as eval_episodes, at most 16."""
    stop_at_return: float | None = None
    """End training at the first evaluation whose mean return is at least this. Schedules still follow total_steps."""
    save_every_seconds: float = 30.0
    """Seconds between checkpoints; there is always one at the end."""
    keep_checkpoints: int = 3
    """How many checkpoints stay on disk; older ones are deleted."""
    keep_policy_at: tuple[int, ...] = ()
    """Save the policy after these numbers of steps, each at the end of the update that reaches it; 0: before training.
    For `a2c record --stages`, and for --which STEPS of other commands."""


@dataclasses.dataclass(frozen=True)
class Config(Course, Model, Optimization, Algorithm, Environment):  # Fields of the last come first.
    """The settings of a run. Steps are agent steps, counted over all environments.

    Raises:
        UserError: A value has the wrong type or lies outside its range.
    """

    def __post_init__(self) -> None:
        object.__setattr__(self, "network", name_of(self.network))
        for name, annotation in _annotations().items():
            object.__setattr__(self, name, _plain(getattr(self, name), annotation))
        for name, annotation in _annotations().items():
            value = getattr(self, name)
            if not _fits(value, annotation):
                raise UserError(f"{name} is {shown(value)}; it must be {_describe(annotation)}")
            if isinstance(value, tuple) and not all(math.isfinite(item) for item in value if isinstance(item, float)):
                raise UserError(f"{name} is {shown(value)}; every one must be finite")
        for names, holds, right in _RULES:
            for name in names.split():
                value = getattr(self, name)
                if isinstance(value, float) and not math.isfinite(value):
                    raise UserError(f"{name} is {value}; it must be finite")
                if value not in ("auto", None) and not holds(value):
                    raise UserError(f"{name} is {shown(value)}; it must be {right}")
        for name, annotation in _annotations().items():
            value = getattr(self, name)
            if isinstance(value, int) and not isinstance(value, bool) and _fits(0.5, annotation):
                try:
                    object.__setattr__(self, name, float(value))  # 1 and 1.0 must hash and compile alike.
                except OverflowError as error:
                    raise UserError(f"{name} is {shown(value)}; it must be finite") from error
        try:
            json.dumps(self.env_kwargs, allow_nan=False)
        except (TypeError, ValueError, RecursionError) as error:
            raise UserError(
                f"env_kwargs is {shown(self.env_kwargs)}; it must be a value that JSON can hold ({error})"
            ) from error
        if self.centers_advantage and self.steps_per_update == 1:
            what, instead = "normalize_advantage is True", "False"
            if self.actor_step == "natural":
                what, instead = "actor_step is 'natural'", "'gradient'"
            raise UserError(
                f"{what} with num_envs 1 and rollout_length 1; a rollout's advantages are shifted to mean 0, which "
                f"makes a single one 0: take {instead}, or at least 2 of either"
            )
        if self.critic != "bootstrap" and self.centers_advantage:
            what, instead = "normalize_advantage is True", "normalize_advantage False"
            if self.actor_step == "natural":
                what, instead = "actor_step is 'natural'", "actor_step 'gradient'"
            raise UserError(
                f"critic is {self.critic!r} and {what}, which shifts the advantages of all steps; those without an "
                f"observed return must weigh 0: take {instead}, or critic 'bootstrap'"
            )
        if self.critic == "none" and not self.share_torso:
            raise UserError(
                "critic is 'none' and share_torso False, which gives a critic convolutions of its own; drop one of them"
            )
        if self.memory_size and self.actor_step == "natural":
            raise UserError(
                f"actor_step is 'natural', which policies with memory do not have (memory_size is "
                f"{self.memory_size}); take actor_step 'gradient', or memory_size 0"
            )
        if self.vectorization == "compiled" and self.wants_workers:
            raise UserError("vectorization is 'compiled', which has no workers; drop isolate_envs and num_workers")
        if self.vectorization == "compiled" and self.max_episode_steps is not None:
            raise UserError(
                "vectorization is 'compiled', whose environments have limits of their own; drop max_episode_steps"
            )
        if self.stop_at_return is not None and not self.eval_every_steps:
            raise UserError(
                f"stop_at_return is {self.stop_at_return} and eval_every_steps 0, so that nothing is evaluated during "
                "training; give both, or neither"
            )
        if self.clip_rewards and self.normalize_returns:
            raise UserError("clip_rewards and normalize_returns are True, and both scale rewards; choose one of them")
        if self.vectorization in ("local", "vector") and self.wants_workers:
            raise UserError(
                f"vectorization is {self.vectorization!r}, which has no workers; drop isolate_envs and num_workers"
            )
        if self.num_workers == 0 and (self.isolate_envs or self.vectorization == "workers"):
            raise UserError("num_workers is 0 but workers are asked for; it must be at least 1, or 'auto'")

    def check_spreads(self) -> None:
        """Checks that the environments of one run can be spread over a cluster, if it is to have one.

        A Config as such may name a cluster and anything else: of several seeds, each is trained as without one.

        Raises:
            UserError: They cannot.
        """
        if self.cluster == "none":
            return
        here = f"cluster is {self.cluster!r}"
        if self.wants_workers or self.vectorization not in ("auto", "local"):
            raise UserError(
                f"{here}, where every actor steps its environments itself; drop isolate_envs, num_workers and "
                "vectorization (num_actors sets the number of actors)"
            )
        if self.engine == "paddle" or self.device != "cpu":
            raise UserError(
                f"{here}, whose actors compute with the compiled engine on the CPU (Paddle's results depend on the "
                "number of rows in a batch, and so would on the number of actors); drop engine and device"
            )
        if self.num_actors != "auto" and self.num_actors > self.num_envs:
            raise UserError(
                f"num_actors is {self.num_actors}; with {self.num_envs} environments it must be at most that"
            )

    @property
    def is_elsewhere(self) -> bool:
        """Whether the settings ask for other processes to step environments, on this machine or on others."""
        return self.wants_workers or self.cluster != "none"

    @property
    def wants_workers(self) -> bool:
        """Whether the settings ask for worker processes, by `num_workers` or `isolate_envs`."""
        return self.isolate_envs or self.num_workers not in ("auto", 0)

    @property
    def centers_advantage(self) -> bool:
        """Whether a rollout's advantages are shifted to mean 0."""
        return self.normalize_advantage or self.actor_step == "natural"

    @property
    def value_weight(self) -> float:
        """Weight of the value loss: value_coef, or 0 where no critic is trained."""
        return 0.0 if self.critic == "none" else self.value_coef

    @property
    def steps_per_update(self) -> int:
        """T * N."""
        return self.rollout_length * self.num_envs

    @property
    def num_updates(self) -> int:
        """Updates in a run: the fewest that make total_steps."""
        return -(-self.total_steps // self.steps_per_update)

    def whole_updates(self, steps: int) -> int:
        """The steps that the run has made when the update that reaches `steps` is done.

        Example:
            >>> Config("CartPole-v1", num_envs=8, rollout_length=16).whole_updates(1000)
            1024
        """
        return -(-steps // self.steps_per_update) * self.steps_per_update

    def identity(self) -> str:
        """A hash of the settings that decide results, without `total_steps`; runs that share it are the same run."""
        values = {name: value for name, value in self.to_json().items() if name not in FREE}
        # Earlier versions had no such fields, and behaved as their defaults do: their runs must hash as before.
        for name in (
            "start_from",
            "start_from_sha256",
            "max_episode_steps",
            "eval_num_envs",
            "reward_weights",
            "natural_max_step",
            "memory_size",
            "share_torso",
            "text_words",
            "atari_preprocessing",
            "terminal_on_life_loss",
            "clip_rewards",
            "frame_stack",
            "log_info",
            "critic",
            "collect",
        ):
            default = getattr(Config, name)
            if values[name] == (list(default) if isinstance(default, tuple) else default):  # JSON knows lists.
                del values[name]
        if self.vectorization == "vector":
            values["vectorization"] = "vector"  # The only one that draws other random numbers.
        if values["network"] == "auto":
            values["network"] = "mlp"  # The only one of earlier versions. With images, parameters tell the two apart.
        if self.actor_step == "gradient":
            for name in [name for name in values if name.startswith(("natural_", "critic_")) or name == "actor_step"]:
                del values[name]
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON values."""
        values: dict[str, Any] = json.loads(
            json.dumps({field.name: getattr(self, field.name) for field in dataclasses.fields(self)})
        )
        return values

    @classmethod
    def from_json(cls, values: object) -> Config:
        """The Config whose fields `to_json` returned.

        Raises:
            UserError: Not a JSON object, an unknown field, or a value that does not fit.
        """
        if not isinstance(values, dict):
            raise UserError(f"a Config must be a JSON object, not {type(values).__name__}")
        check_field_names(values)
        if "env_id" not in values:
            raise UserError("a Config needs env_id, and this one has none")
        lists_as_tuples: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in values.items()
        }
        return cls(**lists_as_tuples)


GROUPS = {
    "environment": Environment,
    "algorithm": Algorithm,
    "optimizer": Optimization,
    "model": Model,
    "run": Course,
}
"""Config's fields by subject: the groups of `a2c train --help`."""

FREE = [
    "vectorization",
    "num_workers",
    "isolate_envs",
    "cluster",
    "num_actors",
    "env_timeout_seconds",
    "total_steps",
    "stop_at_return",
    "engine",
    "num_threads",
    "device",
    "run_dir",
    "log",
    "save_every_seconds",
    "keep_checkpoints",
    "keep_policy_at",
]
"""Settings that may change when a run is resumed: where and for how long it runs, not what it learns."""


def may_be_none(name: str) -> bool:
    """Whether a field may be None."""
    return _fits(None, _annotations()[name])


def check_field_names(names: typing.Iterable[str]) -> None:
    """Checks that each name is a field of Config.

    Raises:
        UserError: One is not; the message names the closest field.
    """
    fields = [field.name for field in dataclasses.fields(Config)]
    for name in names:
        if name not in fields:
            hint = elsewhere(str(name), repr)
            if hint is not None:
                raise UserError(f"unknown setting {shown(name)}; {hint}")
            close = difflib.get_close_matches(str(name), fields, n=1)
            hint = f"did you mean {close[0]!r}?" if close else "the fields are those of a2c.Config"
            raise UserError(f"unknown setting {shown(name)}; {hint}")


_RULES: list[tuple[str, typing.Callable[[Any], bool], str]] = [
    (
        "num_envs rollout_length eval_episodes eval_num_envs keep_checkpoints num_threads num_actors natural_products "
        "critic_epochs critic_minibatch",
        lambda x: 1 <= x <= 1_000_000,
        "a whole number from 1 to 1,000,000",
    ),
    (
        "total_steps decay_every_steps log_every_steps max_episode_steps",
        lambda x: 1 <= x < 2**53,
        "a whole number of at least 1 (and below 2**53)",
    ),
    (
        "cluster",
        lambda x: x in ("none", "local", "auto") or re.fullmatch(r"(ray://)?[^\s/:]+:\d{1,5}", x) is not None,
        "none, local, auto, or an address: HOST:PORT or ray://HOST:PORT",
    ),
    ("frame_stack", lambda x: 1 <= x <= 32, "a whole number from 1 to 32"),
    ("network", lambda x: x == "mlp" or image_network(x) is not None, RIGHT_NETWORK),
    ("text_words", lambda x: 0 <= x <= 1000, "a whole number from 0 to 1,000"),
    (
        "log_info",
        lambda x: all(name.strip() and name.isprintable() and len(name) <= 100 for name in x) and len({*x}) == len(x),
        "names of at most 100 characters that can be printed, each once",
    ),
    (
        "keep_policy_at",
        lambda x: all(0 <= steps < 2**53 for steps in x),
        "whole numbers of steps, each at least 0 (and below 2**53)",
    ),
    ("num_workers eval_every_steps final_eval_episodes", lambda x: 0 <= x < 2**53, "a whole number of at least 0"),
    ("hidden_sizes", lambda x: all(1 <= size <= 100_000 for size in x), "whole numbers from 1 to 100,000"),
    (
        "memory_size",
        lambda x: 0 <= x <= MOST_REMEMBERED and x % 16 == 0,
        f"a multiple of 16 from 0 to {MOST_REMEMBERED:,}",
    ),
    ("gamma gae_lambda", lambda x: 0 <= x <= 1, "between 0 and 1"),
    ("adam_beta1 adam_beta2 rmsprop_decay", lambda x: 0 <= x < 1, "at least 0 and below 1"),
    ("decay_factor", lambda x: 0 < x <= 1, "above 0 and at most 1"),
    (
        "learning_rate max_grad_norm adam_epsilon rmsprop_epsilon env_timeout_seconds natural_kl natural_max_step "
        "critic_learning_rate",
        lambda x: x > 0,
        "above 0",
    ),
    ("value_coef entropy_coef final_learning_rate save_every_seconds natural_damping", lambda x: x >= 0, "at least 0"),
    ("seed", lambda x: 0 <= x < 2**63, "a whole number from 0 to 2**63 - 1"),
    ("env_id run_dir", lambda x: x.strip() != "", "a name that is not empty"),
    ("env_id", lambda x: x.isprintable() and len(x) <= 500, "at most 500 characters that can be printed"),
    ("stop_at_return", math.isfinite, "a finite number"),
    ("initial_log_std", lambda x: -20 <= x <= 2, "between -20 and 2"),
]


@functools.cache
def _annotations() -> dict[str, Any]:
    return typing.get_type_hints(Config)


def _plain(value: Any, annotation: Any) -> Any:
    """Turns NumPy's numbers into Python's, a path into a string, a list or array into a tuple."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if _is_list(annotation) and isinstance(value, list | np.ndarray) and np.ndim(value) == 1:
        return tuple(item.item() if isinstance(item, np.generic) else item for item in value)
    return value


def _is_list(annotation: Any) -> bool:
    return any(typing.get_origin(one) is tuple for one in (annotation, *typing.get_args(annotation)))


def _fits(value: object, annotation: Any) -> bool:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Literal:
        return value in arguments
    if origin in (typing.Union, types.UnionType):
        return any(_fits(value, argument) for argument in arguments)
    if origin is tuple:
        return isinstance(value, tuple) and all(_fits(item, arguments[0]) for item in value)
    if origin is dict:
        return isinstance(value, dict) and all(isinstance(key, str) for key in value)
    if annotation in (int, float):
        return isinstance(value, int if annotation is int else int | float) and not isinstance(value, bool)
    return isinstance(value, annotation)


def _describe(annotation: Any) -> str:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Literal:
        return " or ".join(repr(argument) for argument in arguments)
    if origin in (typing.Union, types.UnionType):
        return (", or " if _is_list(annotation) else " or ").join(_describe(argument) for argument in arguments)
    if origin is tuple:
        return f"a list of items, each {_describe(arguments[0])}"
    if origin is dict:
        return "a JSON object"
    names = {int: "a whole number", float: "a number", str: "a string", bool: "true or false", type(None): "None"}
    return names[annotation]
