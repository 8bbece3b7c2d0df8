"""Finds what constructs an environment: from Gymnasium ids, `module:Id`, callables, and ids of well-known packages."""

from __future__ import annotations

import dataclasses
import difflib
import importlib
import importlib.util
import inspect
import json
import re
import sys
import types
from collections.abc import Callable, Collection, Mapping
from typing import Any

import gymnasium
from gymnasium.envs.registration import EnvSpec

from a2c.envs.compiled.classic import classic_control, registered_form
from a2c.envs.compiled.form import CompiledEnv
from a2c.envs.construction import EnvSource, checked_source, display_hint, env_name, only_warnings, pip_name
from a2c.envs.wrapping import ATARI_ENTRY_POINT, Wrapping
from a2c.errors import UserError, shown


@dataclasses.dataclass(frozen=True)
class EnvMaker:
    """Constructs one environment, here or (pickled) in a worker, where nothing that was registered here is known."""

    source: EnvSpec | Callable[[], gymnasium.Env[Any, Any]]
    kwargs: dict[str, Any]
    wrapping: Wrapping

    def __call__(self) -> gymnasium.Env[Any, Any]:
        """A new environment."""
        if isinstance(self.source, EnvSpec):
            if self.source.entry_point is None and self.source.vector_entry_point is not None:
                raise UserError(
                    f"cannot make {self.source.id}: its entry_point is not specified, only a vector_entry_point, which "
                    "makes many at once; set vectorization 'vector', or register it with an entry_point, too"
                )
            kwargs = self.wrapping.arguments(self.source, self.kwargs) | {"disable_env_checker": True}
            env, repeats = gymnasium.make(self.source, **kwargs), self.wrapping.repeats(self.source, self.kwargs)
        else:
            before, repeats = dict(gymnasium.registry), None
            env = self.source(**self.kwargs)
            if env is None:
                self._refuse_if_it_registers(before)
        return self.wrapping.around(env, env_name(self.source), repeats) if isinstance(env, gymnasium.Env) else env

    def _refuse_if_it_registers(self, before: Mapping[str, EnvSpec]) -> None:
        """If the callable returned None and registered environments instead, says how to name one of these."""
        registered = [name for name, spec in gymnasium.registry.items() if spec is not before.get(name)]
        if not registered:
            return
        name, module = env_name(self.source), getattr(self.source, "__module__", "__main__")
        if module == "__main__":
            hint = f"call it first, and pass {registered[0]!r}"
        elif name in _REGISTERING:
            hint = f"pass one as {module}:{registered[0]}"
        else:
            hint = f"rename it {_REGISTERING[0]}, or call it in {module}, and pass {module}:{registered[0]}"
        several = ", ..." if len(registered) > 5 else ""
        raise UserError(f"{name} makes no environment, it registers {', '.join(registered[:5])}{several}; {hint}")


def compiled_form(env: EnvSource) -> CompiledEnv | None:
    """The compiled form of an environment: itself if it is one, or that of Gymnasium's classic control; else None.

    Raises:
        UserError: The module cannot be imported.
    """
    return own_form(env) or (classic_control(env) if isinstance(env, str) else None)


def own_form(env: EnvSource) -> CompiledEnv | None:
    """The CompiledEnv that is given, that `module:NAME` names, or that is registered under the id; else None.

    Raises:
        UserError: The module cannot be imported.
    """
    if isinstance(env, str):
        return compiled_in_module(env) or registered_form(env.rpartition(":")[2])
    return env if isinstance(env, CompiledEnv) else None


def compiled_in_module(name: str) -> CompiledEnv | None:
    """The CompiledEnv that `module:NAME` names; None if it names something else.

    Raises:
        UserError: The module cannot be imported.
    """
    module, _, attribute = name.rpartition(":")
    found = getattr(_import(module, name), attribute, None) if module else None
    return found if isinstance(found, CompiledEnv) else None


def _callable_in_module(name: str) -> Callable[..., gymnasium.Env[Any, Any]] | None:
    """What `module:Class` or `module:function` names; None if `Class` is a registered id, or not callable."""
    module, _, attribute = name.rpartition(":")
    if not module or attribute in gymnasium.registry:
        return None
    found = getattr(_import(module, name), attribute, None)
    return found if callable(found) and attribute not in gymnasium.registry else None


def _import(module: str, name: str) -> types.ModuleType:
    try:
        with only_warnings():
            return importlib.import_module(module)
    except (Exception, SystemExit) as error:
        fault = f"{type(error).__name__}: {error}"
        lacks = (error.name or "").partition(".")[0] if isinstance(error, ModuleNotFoundError) else ""
        root = module.partition(".")[0]
        right = "it must be installed, in this folder, or on PYTHONPATH"
        if lacks == root:
            known = [package for its_module, package in _PACKAGES.values() if its_module.partition(".")[0] == root]
            right = f"pip install {shown(known[0]) if '[' in known[0] else known[0]}" if known else right
        elif lacks:  # The module exists, but imports one that does not.
            right = f"{module} needs it: pip install {shown(pip_name(lacks))}"
        elif display_hint(error):
            right = display_hint(error)
        elif isinstance(error, ImportError | AttributeError):
            right = f"{module} is installed, but not compatible with the other installed packages"
        elif root in sys.modules or (root and importlib.util.find_spec(root) is not None):
            right = f"{module} exists, but raises this when it is imported"
        raise UserError(f"cannot import the module of {name!r} ({fault}); {right}") from error


def maker_of(env: EnvSource, kwargs: Mapping[str, Any], wrapping: Wrapping) -> EnvMaker:
    """The maker of an environment.

    Args:
        env: An id, `module:Id`, a specification or a callable.
        kwargs: Arguments of the constructor.
        wrapping: The wrappers around it.

    Raises:
        UserError: The environment is unknown, or its module cannot be imported.
    """
    source: Any = env
    if isinstance(env, str):
        source = compiled_in_module(env) or _callable_in_module(env) or _find_spec(env)
    checked_source(source)  # `module:NAME` may name anything.
    if isinstance(source, EnvSpec):
        # We never step before a reset, so the wrapper that checks that would only cost time.
        spec = dataclasses.replace(source, order_enforce=False)
        return EnvMaker(spec, dict(kwargs), wrapping)
    return EnvMaker(source, dict(kwargs), wrapping)


ATARI = r"ALE/|\w+(NoFrameskip|Deterministic)-v\d"
"""Matches the beginning of ids of ale_py's games."""

_PACKAGES = {
    ATARI: ("ale_py", "a2c[atari]"),
    r"(highway|merge|roundabout|parking|intersection|racetrack|exit|two-way|u-turn)(-fast)?-v": (
        "highway_env",
        "highway-env",
    ),
    r"(MiniGrid|BabyAI)-": ("minigrid", "a2c[minigrid]"),
    r"MiniWorld-": ("miniworld", "miniworld"),
    r"Panda[A-Z]": ("panda_gym", "panda-gym"),
    r"(Fetch|HandReach|HandManipulate|PointMaze|AntMaze|FrankaKitchen|AdroitHand)": (
        "gymnasium_robotics",
        "gymnasium-robotics",
    ),
    r"FlappyBird-": ("flappy_bird_gymnasium", "flappy-bird-gymnasium"),
    r"(dm_control|bsuite|atari|openspiel)/|GymV2[16]Environment-v0": ("shimmy", "shimmy"),
    r"popgym-": ("popgym", "popgym"),
    r"NetHack": ("nle", "nle"),
    r"MiniHack-": ("minihack", "minihack"),
    r"Vizdoom": ("vizdoom.gymnasium_wrapper", "a2c[vizdoom]"),
    r"(mo-|deep-sea-treasure|resource-gathering|four-room|minecart|fruit-tree|water-reservoir)": (
        "mo_gymnasium",
        "mo-gymnasium",
    ),
    r"tetris_gymnasium/": ("tetris_gymnasium.envs", "tetris-gymnasium"),
    r"(Cont|Finite)-[A-Z]{2}-\w+-v": ("gym_electric_motor", "gym-electric-motor"),
    r"(forex|stocks)-v": ("gym_anytrading", "gym-anytrading"),
    r"(forex|stocks|crypto|mixed)-(un)?hedge-": ("gym_mtsim", "gym-mtsim"),
    r"Safety[A-Z]": ("safety_gymnasium", "safety-gymnasium"),
    r"Meta-World/": ("metaworld", "metaworld"),
    r"PyFlyt/": ("PyFlyt.gym_envs", "pyflyt"),
    r"gym_pusht/": ("gym_pusht", "gym-pusht"),
    r"gym_aloha/": ("gym_aloha", "gym-aloha"),
    r"gym_xarm/": ("gym_xarm", "gym-xarm"),
    r"gym_hil/": ("gym_hil", "gym-hil"),
    r"seals/": ("seals", "seals"),
    r"miniwob/": ("miniwob", "miniwob"),
    r"[A-Za-z0-9]+BulletEnv-": ("pybullet_envs_gymnasium", "pybullet-envs-gymnasium"),
    r"(SearingSpotlights|MortarMayhem|MysteryPath|Endless-)": ("memory_gym", "memory-gym"),
    r"gymnasium_search_race/": ("gymnasium_search_race", "gymnasium-search-race"),
    r"procgen": ("procgen", "procgen2"),
    r"[Ss]umo-rl-": ("sumo_rl", "sumo-rl"),
}
"""Beginnings of the ids of well-known packages: the module that registers them, and what to pip install."""


_OF_AN_EXTRA = "a2c["
"""Packages that begin so are installed by an extra of ours; their ids need no module before them."""


def _package_of(env_id: str) -> tuple[str, str] | None:
    """The module that registers an id of a well-known package, and what to pip install; None if it is not known."""
    return next((both for pattern, both in _PACKAGES.items() if re.match(pattern, env_id)), None)


def _is_installed(module: str) -> bool:
    return importlib.util.find_spec(module.partition(".")[0]) is not None


def _package_hint(env_id: str) -> str | None:
    found = _package_of(env_id)
    if found is None:
        return None
    module, package = found
    if package.startswith(_OF_AN_EXTRA):
        return None if _is_installed(module) else f'pip install "{package}" brings it'
    hint = f"put its module before it, {module}:{env_id}"
    return hint if _is_installed(module) else f"{hint} (pip install {package})"


def register_family(env_id: str) -> None:
    """Imports the package that registers an id, if one of our extras brings that package and it is installed.

    Raises:
        UserError: It cannot be imported.
    """
    found = _package_of(env_id)
    if found is not None and found[1].startswith(_OF_AN_EXTRA) and env_id not in gymnasium.registry:
        module, _ = found
        if _is_installed(module):
            _register(_import(module, f"{module}:{env_id}"), env_id)


def is_atari(env_id: str) -> bool:
    """Whether ale_py registers an id; the id may have a module before it."""
    name = env_id.rpartition(":")[2]
    if not re.match(ATARI, name):
        return False
    register_family(name)
    spec = gymnasium.registry.get(name)
    return spec is not None and spec.entry_point == ATARI_ENTRY_POINT


_SHIMMY = ("GymV21Environment-v0", "GymV26Environment-v0")
"""Ids under which shimmy adapts Gym's environments. Gymnasium registers them, too, but only to raise."""


def _find_spec(env_id: str) -> EnvSpec:
    """The registered specification itself, as nothing may be registered under the id in a worker."""
    module, colon, name = env_id.rpartition(":")
    before = set(gymnasium.registry)
    if colon:
        _register(_import(module, env_id), name)
    else:
        register_family(name)
    if name not in gymnasium.registry or (name in _SHIMMY and "shimmy" not in sys.modules):
        raise UserError(f"unknown environment {env_id!r}; {_hint(module, name, set(gymnasium.registry) - before)}")
    return _without_script(gymnasium.spec(name))


_REGISTERING = ("register_envs", "register_environments", "register_env", "register_all", "register")
"""Names of functions with which packages register their environments, if importing them does not."""


def _register(module: types.ModuleType, name: str) -> None:
    """Calls the function that registers a module's environments, if importing the module did not register this one.

    The user has named the module, and a function of that name means nothing else. It must be the package's own (many
    import `register` from Gymnasium) and take no required argument.

    Raises:
        UserError: It raised.
    """
    for function in _REGISTERING:
        found = getattr(module, function, None)
        if name in gymnasium.registry or not callable(found):
            continue
        package = str(getattr(found, "__module__", "")).partition(".")[0]
        if package != module.__name__.partition(".")[0] or not _needs_nothing(found):
            continue
        try:
            found()
        except (Exception, SystemExit) as error:
            raise UserError(f"{module.__name__}.{function}() raised {type(error).__name__}: {error}") from error


def _needs_nothing(function: Callable[..., Any]) -> bool:
    try:
        inspect.signature(function).bind()
    except (TypeError, ValueError):
        return False
    return True


def _hint(module: str, name: str, new: Collection[str]) -> str:
    """What the user may have meant by an unknown id; `new` are the ids that importing the module registered."""
    if module and _is_in_gym(name):
        version = re.findall(r"\d+", str(getattr(sys.modules.get("gym"), "__version__", "0.26")))
        is_old = [int(number) for number in version[:2]] < [0, 26]  # Since 0.26, step returns five values.
        # The environment checker of newer ones does not work with NumPy 2.
        arguments = {} if is_old else {"make_kwargs": {"disable_env_checker": True}}
        shimmys = _SHIMMY[0 if is_old else 1]
        kwargs = json.dumps({"env_id": f"{module}:{name}", **arguments})
        install = "" if importlib.util.find_spec("shimmy") else "pip install shimmy, and "
        return (
            f"it is registered with Gym, which Gymnasium has replaced; {install}pass it as shimmy:{shimmys} "
            f"--env-kwargs '{kwargs}'"
        )
    hint = _package_hint(name) if not module else None
    if hint is not None:
        return hint
    theirs = sorted({*_ids_of(module), *new})
    known = theirs or list(gymnasium.registry)
    cutoff = 0.6 if theirs or not module else 0.8  # Ids of other packages are suggested only if almost equal.
    close = (
        difflib.get_close_matches(name, known, n=3, cutoff=cutoff)
        or [k for k in known if k.lower().startswith(name.lower())][:3]
    )
    before = f"{module}:" if theirs else ""
    if close:
        return f"did you mean {' or '.join(before + one for one in close)}?"
    if theirs:
        return f"{module} registers {', '.join(theirs[:5])}{', ...' if len(theirs) > 5 else ''}"
    if module:
        return f"{module} registers none; pass a class or a function of it that makes one, as {module}:Class"
    return "it must be a Gymnasium id or module:Id"


def _ids_of(module: str) -> list[str]:
    """The ids that are registered with an entry point in a module's package."""
    root = module.partition(".")[0]
    found = []
    for name, spec in gymnasium.registry.items():
        where = spec.entry_point if isinstance(spec.entry_point, str) else getattr(spec.entry_point, "__module__", "")
        if root and re.split(r"[.:]", str(where))[0] == root:
            found.append(name)
    return found


def _is_in_gym(name: str) -> bool:
    """Whether an id is registered with Gym; False if nothing has imported Gym."""
    registry = getattr(sys.modules.get("gym.envs.registration"), "registry", None)
    ids = registry if isinstance(registry, Mapping) else getattr(registry, "env_specs", None)
    return isinstance(ids, Mapping) and name in ids


def _without_script(spec: EnvSpec) -> EnvSpec:
    """The specification with the class in the place of a name in `__main__`, which a worker could not look up."""
    entry_point = spec.entry_point
    if isinstance(entry_point, str) and entry_point.startswith("__main__:"):
        found: Any = gymnasium.envs.registration.load_env_creator(entry_point)
        return dataclasses.replace(spec, entry_point=found)
    return spec
