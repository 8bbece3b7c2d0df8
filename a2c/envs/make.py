"""From a name or a callable to environments: `make_env` for one, `make_envs` for N."""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import importlib
import importlib.util
import multiprocessing
import re
import time
import types
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, overload

import gymnasium
import numpy as np

from a2c.envs.compiled.classic import CLASSIC_CONTROL, classic_control
from a2c.envs.compiled.form import CompiledEnv
from a2c.envs.construction import EnvSource as EnvSource
from a2c.envs.construction import checked_kwargs, checked_source, checked_weights, construct, traits, warn_of_left_out
from a2c.envs.construction import env_name as env_name
from a2c.envs.episode import close
from a2c.envs.pool import Pool
from a2c.envs.vector import Envs
from a2c.errors import UserError, shown
from a2c.machine import cores

if TYPE_CHECKING:
    from a2c.envs.compiled.vector import CompiledEnvs

_WORTH_A_WORKER_SECONDS = 60e-6
"""A step of all environments that takes longer is trained on faster with a worker: by a quarter and more, as measured
by `benchmarks/placement.py`. Below, there is less to gain, and a worker takes half a second to start."""


@dataclasses.dataclass(frozen=True)
class EnvMaker:
    """Constructs one environment, here or (pickled) in a worker that knows nothing of what was registered here."""

    source: gymnasium.envs.registration.EnvSpec | Callable[[], gymnasium.Env[Any, Any]]
    kwargs: dict[str, Any]
    max_episode_steps: int | None = None

    def __call__(self) -> gymnasium.Env[Any, Any]:
        """A new environment."""
        if isinstance(self.source, gymnasium.envs.registration.EnvSpec):
            env = gymnasium.make(self.source, **self.kwargs)
        else:
            env = self.source(**self.kwargs)
        if self.max_episode_steps is None or not isinstance(env, gymnasium.Env):
            return env
        return gymnasium.wrappers.TimeLimit(env, self.max_episode_steps)


def make_env(
    env: EnvSource,
    env_kwargs: Mapping[str, Any] | None = None,
    render_mode: str | None = None,
    max_episode_steps: int | None = None,
) -> gymnasium.Env[Any, Any]:
    """One ordinary Gymnasium environment.

    Args:
        env: A Gymnasium id, `module:Id`, or a callable.
        env_kwargs: Arguments of its constructor.
        render_mode: "human", "rgb_array" or None, as Gymnasium has it.
        max_episode_steps: Cut episodes off after so many steps; None: only where the environment does.

    Raises:
        UserError: It is unknown, lacks a package, does not take these arguments, or its spaces are not supported.
        EnvError: Its constructor raised something else.
    """
    env = checked_source(env)
    kwargs = checked_kwargs(env_kwargs) | ({"render_mode": render_mode} if render_mode else {})
    make = _maker(env, kwargs, max_episode_steps)
    return construct(make, env_name(env), make.source, kwargs)


def compiled_form(env: EnvSource) -> CompiledEnv | None:
    """The environment in compiled form: itself, one of our own named by `module:NAME`, or Gymnasium's classic control.

    Raises:
        UserError: The module cannot be imported.
    """
    if isinstance(env, str):
        return _in_module(env) or classic_control(env)
    return env if isinstance(env, CompiledEnv) else None


@overload
def make_envs(
    env: EnvSource,
    num_envs: int = 8,
    *,
    env_kwargs: Mapping[str, Any] | None = None,
    vectorization: Literal["local", "workers"],
    num_workers: int | Literal["auto"] = "auto",
    isolate_envs: bool = False,
    env_timeout_seconds: float = 60.0,
    seed: int = 0,
    max_episode_steps: int | None = None,
    reward_weights: Sequence[float] | None = None,
) -> Envs: ...


@overload
def make_envs(
    env: EnvSource,
    num_envs: int = 8,
    *,
    env_kwargs: Mapping[str, Any] | None = None,
    vectorization: Literal["auto", "compiled", "local", "workers"] = "auto",
    num_workers: int | Literal["auto"] = "auto",
    isolate_envs: bool = False,
    env_timeout_seconds: float = 60.0,
    seed: int = 0,
    max_episode_steps: int | None = None,
    reward_weights: Sequence[float] | None = None,
) -> Envs | CompiledEnvs: ...


def make_envs(
    env: EnvSource,
    num_envs: int = 8,
    *,
    env_kwargs: Mapping[str, Any] | None = None,
    vectorization: Literal["auto", "compiled", "local", "workers"] = "auto",
    num_workers: int | Literal["auto"] = "auto",
    isolate_envs: bool = False,
    env_timeout_seconds: float = 60.0,
    seed: int = 0,
    max_episode_steps: int | None = None,
    reward_weights: Sequence[float] | None = None,
) -> Envs | CompiledEnvs:
    """N environments behind one interface, which is also a `gymnasium.vector.VectorEnv`.

    Args:
        env: A Gymnasium id, `module:Id`, or a callable; callables need no `__main__` guard.
        num_envs: N, at least 1.
        env_kwargs: Arguments of the constructor.
        vectorization: "local" in this process, "workers" in worker processes too, "auto" the faster of them, found by
            stepping one for a moment; the numbers that come out are the same. "compiled": in compiled form, of a
            CompiledEnv (where it is also what "auto" takes) or of Gymnasium's classic control, whose resets then draw
            other numbers than Gymnasium's.
        num_workers: Worker processes beside this one; "auto": one per spare core.
        isolate_envs: Put every environment in a worker. By default this process steps a share itself.
        env_timeout_seconds: A worker in which an environment does nothing for this long is replaced.
        seed: Decides every episode of every environment.
        max_episode_steps: Cut episodes off after so many steps; None: only where the environment does.
        reward_weights: How much each number of a reward of several counts, one each; None: a reward is one number.

    Raises:
        UserError: The environment is unknown or not supported, or an argument is out of range.
        EnvError: An environment could not be constructed.
        WorkerError: A worker died while starting.

    Example:
        >>> envs = make_envs("CartPole-v1", num_envs=2, seed=7)
        >>> obs = envs.begin()
        >>> step = envs.advance(np.array([0, 1]))
        >>> step.reward.tolist()
        [1.0, 1.0]
        >>> envs.close()
    """
    from a2c.config import Config  # Here, because worker processes import this package and need no command line.

    env = checked_source(env)
    config = Config(
        env_name(env),
        num_envs=num_envs,
        vectorization=vectorization,
        num_workers=num_workers,
        isolate_envs=isolate_envs,
        env_timeout_seconds=env_timeout_seconds,
        seed=seed,
        max_episode_steps=max_episode_steps,
    )
    kwargs = checked_kwargs(env_kwargs)
    weights = checked_weights(reward_weights)
    own = env if isinstance(env, CompiledEnv) else _in_module(env) if isinstance(env, str) else None
    may_be_compiled = own is not None and not config.wants_workers and max_episode_steps is None
    may_be_compiled = may_be_compiled and weights is None  # Which give one number.
    if vectorization == "compiled" and weights is not None:
        raise UserError(f"reward_weights is {shown(weights)}; what is compiled gives one number for a reward")
    if vectorization == "compiled" or (vectorization == "auto" and may_be_compiled):
        return _make_compiled(env, num_envs, kwargs, seed, max_episode_steps)
    make = _maker(env, kwargs, max_episode_steps)
    # The first environment tells spaces and metadata. It may hold a port, or a licence: never are there more than N.
    probe = construct(make, env_name(env), make.source, kwargs)
    first: gymnasium.Env[Any, Any] | None = probe
    try:
        warn_of_left_out(probe, env_name(env))
        told = traits(probe)
        workers, was_stepped = _choose_workers(probe, num_envs, vectorization, num_workers, isolate_envs)
    except BaseException:
        close(probe)
        raise
    if isolate_envs or was_stepped:  # One that remembers what it did before would begin otherwise than the rest.
        close(probe)
        first = None
    pool = Pool(
        make,
        num_envs,
        told.action_space,
        told.observation_space,
        workers,
        isolate_envs,
        seed,
        env_timeout_seconds,
        first,
        weights,
    )
    return Envs(told, pool)


def _make_compiled(
    env: EnvSource, num_envs: int, kwargs: Mapping[str, Any], seed: int, max_episode_steps: int | None
) -> CompiledEnvs:
    form = compiled_form(env)
    if form is None:
        name = env_name(env)
        if name in CLASSIC_CONTROL:
            name += ", which here is not what Gymnasium registers under that name,"
        raise UserError(
            f"vectorization is 'compiled', and {name} has no compiled form; there are "
            f"{', '.join(CLASSIC_CONTROL)} and any a2c.CompiledEnv"
        )
    if kwargs:
        raise UserError(f"env_kwargs is {shown(dict(kwargs))}; the compiled form of {form.name} takes none")
    if max_episode_steps is not None:
        raise UserError(
            f"max_episode_steps is {max_episode_steps}; the compiled form of {form.name} has a limit of its own, "
            "vectorization 'local' takes another"
        )
    from a2c.envs.compiled.vector import CompiledEnvs  # Here: importing Numba takes a while.

    return CompiledEnvs(form, num_envs, seed)


def _choose_workers(
    probe: gymnasium.Env[Any, Any],
    num_envs: int,
    vectorization: Literal["auto", "compiled", "local", "workers"],
    num_workers: int | Literal["auto"],
    isolate_envs: bool,
) -> tuple[int, bool]:
    """How many workers, and whether the probe was stepped to find that out."""
    at_most = num_envs if isolate_envs else num_envs - 1  # Every process has at least one environment.
    may_have = not multiprocessing.current_process().daemon
    if not may_have and (isolate_envs or vectorization == "workers" or num_workers not in ("auto", 0)):
        raise UserError(
            "workers are asked for in a daemonic process of multiprocessing, which may start none; num_workers 0 steps "
            "all environments here, and Process(daemon=False) may have workers"
        )
    if num_workers != "auto":
        if num_workers > at_most:
            raise UserError(
                f"num_workers is {num_workers}; with {num_envs} environments it must be at most {at_most}"
                + ("" if isolate_envs else " (this process steps a share, too)")
            )
        return num_workers, False
    if vectorization == "local" or (num_envs == 1 and not isolate_envs and vectorization == "auto"):
        return 0, False
    wanted = isolate_envs or vectorization == "workers"
    if wanted and not at_most:
        raise UserError(
            "vectorization is 'workers' with 1 environment, which this process steps itself; isolate_envs puts it in a "
            "worker"
        )
    spare = min(at_most, cores() if isolate_envs else max(1, cores() - 1))
    if wanted or cores() == 1 or not may_have:
        return (spare if wanted else 0), False
    return (spare if _seconds_per_step(probe) * num_envs >= _WORTH_A_WORKER_SECONDS else 0), True


def _seconds_per_step(env: gymnasium.Env[Any, Any]) -> float:
    """How long a step takes, from some random ones; 0 if the environment raises (it will again, where it is named)."""
    seconds: list[float] = []
    with contextlib.suppress(Exception):
        env.action_space.seed(0)
        env.reset(seed=0)
        stop = time.perf_counter() + 0.05
        while time.perf_counter() < stop and len(seconds) < 200:
            action = env.action_space.sample()
            start = time.perf_counter()
            _, _, terminated, truncated, _ = env.step(action)
            seconds.append(time.perf_counter() - start)
            if terminated or truncated:
                env.reset()
    return float(np.median(seconds)) if seconds else 0.0


def _in_module(name: str) -> CompiledEnv | None:
    """The CompiledEnv that `module:NAME` names, if it does name one.

    Raises:
        UserError: The module cannot be imported.
    """
    module, _, attribute = name.rpartition(":")
    found = getattr(_import(module, name), attribute, None) if module else None
    return found if isinstance(found, CompiledEnv) else None


def _callable_in_module(name: str) -> Callable[..., gymnasium.Env[Any, Any]] | None:
    """What `module:Class` or `module:function` names, where no environment is registered under that."""
    module, _, attribute = name.rpartition(":")
    if not module or attribute in gymnasium.registry:
        return None
    found = getattr(_import(module, name), attribute, None)
    return found if callable(found) and attribute not in gymnasium.registry else None


def _import(module: str, name: str) -> types.ModuleType:
    try:
        return importlib.import_module(module)
    except Exception as error:
        fault = f"{type(error).__name__}: {error}"
        raise UserError(
            f"cannot import the module of {name!r} ({fault}); it must be installed, or in this folder or PYTHONPATH"
        ) from error


def _maker(env: EnvSource, kwargs: dict[str, Any], max_episode_steps: int | None) -> EnvMaker:
    source: Any = env
    if isinstance(env, str):
        source = _in_module(env) or _callable_in_module(env) or _find_spec(env)
    checked_source(source)  # A module may have anything under that name.
    if isinstance(source, gymnasium.envs.registration.EnvSpec):
        # We never step before a reset, so the wrapper that checks for it would only cost time.
        spec = dataclasses.replace(source, order_enforce=False)
        return EnvMaker(spec, kwargs | {"disable_env_checker": True}, max_episode_steps)
    return EnvMaker(source, kwargs, max_episode_steps)


_PACKAGES = {
    r"ALE/": ("ale_py", "ale-py"),
    r"(highway|merge|roundabout|parking|intersection|racetrack|exit|two-way|u-turn)(-fast)?-v": (
        "highway_env",
        "highway-env",
    ),
    r"(MiniGrid|BabyAI)-": ("minigrid", "minigrid"),
    r"MiniWorld-": ("miniworld", "miniworld"),
    r"Panda[A-Z]": ("panda_gym", "panda-gym"),
    r"(Fetch|HandReach|HandManipulate|PointMaze|AntMaze|FrankaKitchen|AdroitHand)": (
        "gymnasium_robotics",
        "gymnasium-robotics",
    ),
    r"FlappyBird-": ("flappy_bird_gymnasium", "flappy-bird-gymnasium"),
    r"(dm_control|atari|openspiel)/": ("shimmy", "shimmy"),
}
"""Well-known families of ids, the module that registers each, and what to pip install for it."""


def _package_hint(env_id: str) -> str | None:
    for pattern, (module, package) in _PACKAGES.items():
        if re.match(pattern, env_id):
            is_there = importlib.util.find_spec(module) is not None
            return f"its module goes before it, {module}:{env_id}" + ("" if is_there else f" (pip install {package})")
    return None


def _find_spec(env_id: str) -> gymnasium.envs.registration.EnvSpec:
    """The registered specification, by value: a worker need not know the registration."""
    module, colon, name = env_id.rpartition(":")
    if colon:
        _import(module, env_id)
    if name not in gymnasium.registry:
        hint = _package_hint(name) if not module else None
        if hint is not None:
            raise UserError(f"unknown environment {env_id!r}; {hint}")
        known = list(gymnasium.registry)
        close = (
            difflib.get_close_matches(name, known, n=3) or [k for k in known if k.lower().startswith(name.lower())][:3]
        )
        hint = f"did you mean {' or '.join(close)}?" if close else "it must be a Gymnasium id or module:Id"
        raise UserError(f"unknown environment {env_id!r}; {hint}")
    return _without_script(gymnasium.spec(name))


def _without_script(spec: gymnasium.envs.registration.EnvSpec) -> gymnasium.envs.registration.EnvSpec:
    """The specification with its class itself, where it names one in `__main__`: in a worker that is another script."""
    entry_point = spec.entry_point
    if isinstance(entry_point, str) and entry_point.startswith("__main__:"):
        found: Any = gymnasium.envs.registration.load_env_creator(entry_point)
        return dataclasses.replace(spec, entry_point=found)
    return spec
