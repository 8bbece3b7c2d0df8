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
    """What is trained on, and where it is stepped."""

    env_id: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="ENV")]
    """Gymnasium id, or `module:Id` to import a module that registers it."""
    env_kwargs: Annotated[dict[str, Any], _JSON_OBJECT] = dataclasses.field(default_factory=dict)
    """Arguments of the environment's constructor, as a JSON object."""
    num_envs: int = 8
    """Environments stepped side by side (N)."""
    vectorization: Literal["auto", "compiled", "local", "workers", "vector"] = "auto"
    """What is stepped, and where: our compiled form of the environment, or the environment itself, in this process or
    in worker processes too. auto: compiled where there is such a form, else whichever is faster. Between local and
    workers the results are the same; the compiled form has the same dynamics but draws its resets differently. vector:
    somebody else's vector environment, of the id or made by the callable, whose episodes cannot be brought back."""
    num_workers: int | Literal["auto"] = "auto"
    """Worker processes beside this one. auto: as many as there are cores to spare."""
    isolate_envs: bool = False
    """Put every environment in a worker; by default this process steps a share itself, and evaluates."""
    cluster: str = "none"
    """Step environments in actors of a Ray cluster, which act there, too: local, one that is started on this machine;
    auto, the one that this machine is part of; HOST:PORT or ray://HOST:PORT. Never changes results. none: all here."""
    num_actors: int | Literal["auto"] = "auto"
    """Actors that environments are divided among, on a cluster. auto: as many as it has CPUs. Never changes results."""
    max_episode_steps: int | None = None
    """Cut episodes off after so many steps, in training and evaluation; None: only where the environment does."""
    atari_preprocessing: bool = False
    """Play an Atari as Mnih et al. (2015) did: every action for 4 frames, the last two of which make one of 84 x 84
    gray pixels; up to 30 frames of nothing at first, and FIRE where a game waits for it."""
    frame_stack: int = 1
    """Observe the last so many arrays of numbers at once; choices, texts and masks are those of the last of them."""
    text_words: int = 0
    """Observe so many words of each text in observations, the first ones; 0: texts are left out."""
    terminal_on_life_loss: bool = False
    """Learn from a life that is lost, by info["lives"], as from an end. The episode goes on: returns are of whole ones,
    in evaluations, too."""
    reward_weights: tuple[float, ...] | None = None
    """How much each number counts where an environment's reward is several; None: it is one number."""
    env_timeout_seconds: float = 60.0
    """An environment that does nothing for so long hangs: its worker is replaced; in this process, it ends the run."""


@dataclasses.dataclass(frozen=True)
class Algorithm:
    """What is learnt from the steps, and how much of it counts."""

    total_steps: int = 500_000
    """Steps to train for, rounded up to whole rollouts."""
    rollout_length: int = 8
    """Steps per environment and update (T)."""
    gamma: float = 0.99
    """Discount."""
    gae_lambda: float = 0.95
    """Lambda of generalised advantage estimation; 1 gives n-step returns."""
    critic: Literal["bootstrap", "baseline", "none"] = "bootstrap"
    """What the critic is for. bootstrap: its value of the next state stands for the rewards to come, and advantages are
    gae_lambda's. baseline: it only shifts what was observed: the advantage is the return to the episode's end less
    its value, REINFORCE with a baseline. none: that return alone, REINFORCE; no critic is trained. Without bootstrap a
    time limit is an end like any other, and steps whose episode goes on after the rollout have no return yet: they
    weigh 0 in the losses of actor and critic, so rollouts should be several times as long as episodes."""
    value_coef: float = 0.5
    """Weight of the value loss, the plain mean squared error."""
    entropy_coef: float = 0.0
    """Weight of the entropy bonus, a mean over the rollout."""
    clip_rewards: bool = False
    """Learn from the signs of rewards, -1, 0 or 1, as Mnih et al. (2015) did. Returns are reported as they are."""
    normalize_advantage: bool = False
    """Shift and scale each rollout's advantages to mean 0, standard deviation 1. Natural steps shift them anyway."""
    max_grad_norm: float | None = 0.5
    """Gradients are scaled down to this global norm; None: never."""


@dataclasses.dataclass(frozen=True)
class Optimization:
    """How the gradient moves the parameters."""

    optimizer: Literal["adam", "rmsprop"] = "adam"
    """Adam, or RMSprop with epsilon inside the square root."""
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
    """Learning rate at the start, of plain steps; natural steps have natural_kl and critic_learning_rate."""
    schedule: Literal["constant", "linear", "exponential"] = "constant"
    """How the learning rate falls: not at all, linearly over total_steps, or by a factor every so often."""
    final_learning_rate: float = 0.0
    """Where the linear schedule ends."""
    decay_factor: float = 0.92
    """What the exponential schedule multiplies by."""
    decay_every_steps: int = 16_000
    """How often the exponential schedule multiplies."""
    actor_step: Literal["gradient", "natural"] = "gradient"
    """gradient: one step of the optimizer for actor and critic. natural: the actor takes a step of natural_kl along the
    natural gradient, then the critic passes critic_epochs times over the rollout."""
    natural_kl: float = 0.01
    """How far a natural step moves the policy, at most: its KL divergence, in nats."""
    natural_max_step: float | None = None
    """How many natural gradients long a step is, at most: where there is little to gain, going on to natural_kl would
    be a walk along noise. Its unit is that of 1 / advantage: normalize_returns gives these a scale; normalize_advantage
    takes it away, and the bound with it, or makes every step as long. None: always to natural_kl."""
    natural_damping: float = 0.1
    """What is added to the Fisher matrix's diagonal."""
    natural_products: int = 10
    """Products with the Fisher matrix in each natural step."""
    critic_epochs: int = 10
    """Passes of the critic over each rollout, beside natural steps."""
    critic_minibatch: int = 128
    """Rows of each of the optimizer's steps in these passes."""
    critic_learning_rate: float = 1e-3
    """Learning rate of these steps. The schedule scales it, and natural_kl, as it does learning_rate."""


@dataclasses.dataclass(frozen=True)
class Model:
    """Networks, and what they are given."""

    network: str = "auto"
    """What images go through before actor and critic. nature: the convolutions of Mnih et al. (2015).
    small: three of 2 x 2, for grids of a few cells. Your own: 32x8/4,64x4/2,64x3,512 is nature, as filters x kernel /
    stride, and the units behind; an s behind a layer lets windows reach over the edges. mlp: nothing; images are
    numbers like others. auto: nature where an image has 36 x 36 to about 200 x 200 pixels. module:Class: a
    paddle.nn.Layer of yours in the place of hidden layers and convolutions, one in the actor and one in the critic."""
    share_torso: bool = True
    """Actor and critic see images through the same convolutions and units behind these, and both train them. False: the
    critic has its own. Hidden layers are separate either way, and memory, which sees what the actor does, is shared."""
    memory_size: int = 0
    """Numbers that the policy remembers from one step to the next, a multiple of 16: a gated recurrent unit sees what
    actor and critic see, and both see it. Gradients flow through whole rollouts. 0: it remembers nothing."""
    hidden_sizes: tuple[int, ...] = (64, 64)
    """Widths of the hidden layers of actor and critic, each."""
    activation: Activation = "tanh"
    """Activation of the hidden layers."""
    initialization: Initialization = "orthogonal"
    """How weights start."""
    initial_log_std: float = -0.7
    """Log standard deviation of continuous actions at the start, in half-ranges of the action space."""
    start_from: str | None = None
    """Start with the parameters of a run's best policy, or of a .safetensors file. None: drawn from the seed."""
    start_from_sha256: str | None = None
    """What that file must hold; filled in when the run begins."""
    normalize_observations: bool = False
    """Normalise observations by running statistics, which change no policy once they have settled."""
    normalize_returns: bool = False
    """Divide rewards by the running standard deviation of the discounted return."""


@dataclasses.dataclass(frozen=True)
class Course:
    """What computes, and what is kept, shown and evaluated on the way."""

    seed: int = 0
    """Everything random in the run follows from it."""
    engine: Literal["auto", "compiled", "paddle"] = "auto"
    """What computes: compiled kernels on the CPU, or PaddlePaddle. auto: compiled wherever the device is the CPU, and
    neither several images nor a network of your own ask for Paddle."""
    num_threads: int | Literal["auto"] = "auto"
    """Threads of the compiled engine. auto: one for each core. Never changes results."""
    device: str = "cpu"
    """Device of the Paddle engine: cpu, gpu or gpu:N."""
    run_dir: str = "runs"
    """Folder under which the run gets a folder of its own."""
    log_every_steps: int = 1_000
    """How often metrics are recorded (averages since the last time)."""
    log_info: tuple[str, ...] = ()
    """Record these numbers out of the infos of steps that end an episode, as means over episodes: success,energy.
    A dot leads into a dict: costs.energy."""
    log: tuple[Writer, ...] = ()
    """Writers of curves beside metrics.jsonl, which is always written. wandb: offline, where WANDB_MODE does not say
    otherwise; mlflow: to mlflow.db in run_dir, where MLFLOW_TRACKING_URI does not."""
    eval_every_steps: int = 10_000
    """How often the policy is evaluated, and kept if it is the best so far; 0: only at the end."""
    eval_episodes: int = 10
    """Episodes of each of these evaluations."""
    eval_greedy: bool = True
    """Evaluate the most probable action instead of a sampled one."""
    final_eval_episodes: int | Literal["auto"] = "auto"
    """Episodes of the greedy evaluations of the best and the final policy that end the run; 0: none. auto: 100, or as
    many rounds as fit in a fifth of total_steps, at least 10."""
    eval_num_envs: int | Literal["auto"] = "auto"
    """Environments evaluated side by side, made once. auto: as many as eval_episodes, at most 16."""
    stop_at_return: float | None = None
    """End training at the first evaluation on the way whose mean return is at least this. Schedules are those of
    total_steps all the same."""
    save_every_seconds: float = 30.0
    """Time between checkpoints; there is always one at the end."""
    keep_checkpoints: int = 3
    """Checkpoints kept, the newest."""
    keep_policy_at: tuple[int, ...] = ()
    """Keep the policy as it is after so many steps, each at the end of the update that reaches them; 0: before the
    first. For `a2c record --stages`, and --which STEPS of the other verbs."""


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
                    object.__setattr__(self, name, float(value))  # 1 is 1.0, to whoever compiles or hashes it.
                except OverflowError as error:
                    raise UserError(f"{name} is {shown(value)}; it must be finite") from error
        try:
            json.dumps(self.env_kwargs, allow_nan=False)
        except (TypeError, ValueError, RecursionError) as error:
            raise UserError(
                f"env_kwargs is {shown(self.env_kwargs)}; it must be what JSON can hold ({error})"
            ) from error
        if self.centers_advantage and self.steps_per_update == 1:
            what, instead = "normalize_advantage is True", "False"
            if self.actor_step == "natural":
                what, instead = "actor_step is 'natural'", "'gradient'"
            raise UserError(
                f"{what} with num_envs 1 and rollout_length 1; a rollout's advantages are shifted to mean 0, and of a "
                f"single one nothing is left: take {instead}, or at least 2 of either"
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
                f"actor_step is 'natural', which is not there for policies with memory (memory_size is "
                f"{self.memory_size}); 'gradient' is"
            )
        if self.vectorization == "compiled" and self.wants_workers:
            raise UserError("vectorization is 'compiled', which has no workers; drop isolate_envs and num_workers")
        if self.vectorization == "compiled" and self.max_episode_steps is not None:
            raise UserError(
                "vectorization is 'compiled', whose environments have limits of their own; drop max_episode_steps"
            )
        if self.stop_at_return is not None and not self.eval_every_steps:
            raise UserError(
                f"stop_at_return is {self.stop_at_return} and eval_every_steps 0, so that nothing is evaluated on the "
                "way; give both, or neither"
            )
        if self.clip_rewards and self.normalize_returns:
            raise UserError(
                "clip_rewards and normalize_returns are True, and either brings rewards to a size; choose one of them"
            )
        if self.vectorization in ("local", "vector") and self.wants_workers:
            raise UserError(
                f"vectorization is {self.vectorization!r}, which has no workers; drop isolate_envs and num_workers"
            )
        self._check_cluster()
        if self.num_workers == 0 and (self.isolate_envs or self.vectorization == "workers"):
            raise UserError("num_workers is 0 but workers are asked for; it must be at least 1, or 'auto'")

    def _check_cluster(self) -> None:
        if self.cluster == "none":
            return
        here = f"cluster is {self.cluster!r}"
        if self.wants_workers or self.vectorization not in ("auto", "local"):
            raise UserError(
                f"{here}, where every actor steps its environments itself; drop isolate_envs, num_workers and "
                "vectorization (num_actors says how many share them)"
            )
        if self.engine == "paddle" or self.device != "cpu":
            raise UserError(
                f"{here}, whose actors compute with the compiled engine on the CPU, and whose results must not depend "
                "on how many rows that has at once, as Paddle's do; drop engine and device"
            )
        if self.num_actors != "auto" and self.num_actors > self.num_envs:
            raise UserError(
                f"num_actors is {self.num_actors}; with {self.num_envs} environments it must be at most that"
            )

    @property
    def is_elsewhere(self) -> bool:
        """Whether environments are asked to be stepped in other processes, of this machine or of others."""
        return self.wants_workers or self.cluster != "none"

    @property
    def wants_workers(self) -> bool:
        """Whether worker processes are asked for by number or by isolation."""
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
        """Updates that cover total_steps."""
        return -(-self.total_steps // self.steps_per_update)

    def whole_updates(self, steps: int) -> int:
        """The steps after the update that reaches `steps`.

        Example:
            >>> Config("CartPole-v1", num_envs=8, rollout_length=16).whole_updates(1000)
            1024
        """
        return -(-steps // self.steps_per_update) * self.steps_per_update

    def identity(self) -> str:
        """A hash of the settings that decide results, `total_steps` apart; runs that share it are the same run."""
        values = {name: value for name, value in self.to_json().items() if name not in FREE}
        # Earlier versions had no such fields, and did what these values say.
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
        ):
            default = getattr(Config, name)
            if values[name] == (list(default) if isinstance(default, tuple) else default):  # JSON knows lists.
                del values[name]
        if self.vectorization == "vector":
            values["vectorization"] = "vector"  # Of all, the one that draws other numbers from the same environment.
        if values["network"] == "auto":
            values["network"] = "mlp"  # As all were; where there are images, parameters tell these apart.
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
        """The Config that `to_json` gave.

        Raises:
            UserError: Not a JSON object, an unknown field, or a value that does not fit.
        """
        if not isinstance(values, dict):
            raise UserError(f"a Config must be a JSON object, not {type(values).__name__}")
        check_field_names(values)
        if "env_id" not in values:
            raise UserError("a Config needs env_id, and has none")
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
"""Config's fields by what they are about."""

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
"""Settings that a run may be continued with others of: where and how long it runs, not what it is."""


def may_be_none(name: str) -> bool:
    """Whether a field may be None."""
    return _fits(None, _annotations()[name])


def check_field_names(names: typing.Iterable[str]) -> None:
    """Refuses names that are no field of Config.

    Raises:
        UserError: Naming the closest field.
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
    """NumPy's numbers as Python's, a path as its text, a list or array as a tuple."""
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
