"""Making environments: a new object each, never more of them than asked for, closed if one raises."""

import functools
import json
import os
import re
import subprocess
import sys
import time
import types
import warnings

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete, Text

import a2c
from a2c.envs.construction import env_name


class Simple(gymnasium.Env):
    def __init__(self):
        self.observation_space = Box(-1e6, 1e6, (1,), np.float32)
        self.action_space = Discrete(2)
        self.steps = 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.zeros(1, np.float32), {}

    def step(self, action):
        self.steps += 1
        return np.full(1, self.steps, np.float32), 1.0, self.steps % 5 == 0, False, {}


class Limited(Simple):
    """Writes down, over all processes, when it comes and goes: + and -."""

    def __init__(self, log, fails_at=None, error=RuntimeError):
        super().__init__()
        self._log = log
        if fails_at is not None and len(lines_of(log)) >= fails_at:
            raise error("no more licences")
        write(log, "+")

    def close(self):
        write(self._log, "-")


def write(log, mark):
    descriptor = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, f"{mark} {os.getpid()}\n".encode())
    os.close(descriptor)


def lines_of(log):
    return log.read_text().splitlines() if log.exists() else []


def most_alive(log):
    alive = np.cumsum([1 if line.startswith("+") else -1 for line in lines_of(log)])
    assert alive[-1] == 0  # Everything that was constructed was closed.
    return int(alive.max()), sum(line.startswith("+") for line in lines_of(log))


# -- never more than asked for --


@pytest.mark.parametrize(
    ("num_envs", "layout", "constructed"),
    [
        (1, {}, 1),
        (3, {"vectorization": "local"}, 3),
        (3, {"num_workers": 1}, 3),
        (1, {"vectorization": "workers", "isolate_envs": True}, 2),  # one to look at, closed before
        (3, {"num_workers": 2, "isolate_envs": True}, 4),
        (3, {}, 4),  # one was stepped to see how long that takes
    ],
)
def test_there_are_never_more_environments_than_asked_for(tmp_path, monkeypatch, num_envs, layout, constructed):
    monkeypatch.setattr("a2c.envs.placement.cores", lambda: 2)
    log = tmp_path / "log"
    envs = a2c.make_envs(Limited, num_envs, env_kwargs={"log": log}, **layout)
    envs.begin()
    envs.advance(np.zeros(num_envs, np.int64))
    envs.close()
    assert most_alive(log) == (num_envs, constructed)


class Ageing(Simple):
    """Observes how often it was stepped in all its life, as BipedalWalker-v3 does in a way."""

    def reset(self, *, seed=None, options=None):
        return np.full(1, self.steps, np.float32), {}


def test_measuring_a_step_changes_no_number(monkeypatch):
    monkeypatch.setattr("a2c.envs.placement.cores", lambda: 2)
    seen = set()
    for layout in ({}, {"vectorization": "local"}, {"num_workers": 1}):
        envs = a2c.make_envs(Ageing, 2, **layout)
        obs = [envs.begin().tobytes()]
        obs += [envs.advance(np.zeros(2, np.int64)).obs.tobytes() for _ in range(12)]
        envs.close()
        seen.add(b"".join(obs))
    assert len(seen) == 1


def test_the_spaces_of_the_vector_environment_are_not_those_of_environment_0():
    envs = a2c.make_envs(Simple, 1)
    assert envs.get_attr("action_space")[0] is not envs.single_action_space
    envs.close()


# -- closed where one fails --


@pytest.mark.parametrize("layout", [{}, {"num_workers": 1}, {"num_workers": 2, "isolate_envs": True}])
def test_environments_constructed_before_one_that_fails_are_closed(tmp_path, layout):
    log = tmp_path / "log"
    with pytest.raises(a2c.EnvError, match="no more licences"):
        a2c.make_envs(Limited, 5, env_kwargs={"log": log, "fails_at": 4}, vectorization="auto", **layout)
    assert most_alive(log)[0] <= 5


def test_environments_are_closed_if_an_interrupt_comes_in_between(tmp_path):
    log = tmp_path / "log"
    with pytest.raises(KeyboardInterrupt):
        a2c.make_envs(
            Limited, 4, env_kwargs={"log": log, "fails_at": 2, "error": KeyboardInterrupt}, vectorization="local"
        )
    assert most_alive(log) == (2, 2)


class Interrupted(Limited):
    """In this process Ctrl-C comes while workers, slower, are at their first."""

    def __init__(self, log, here):
        if os.getpid() == here and lines_of(log):
            raise KeyboardInterrupt
        if os.getpid() != here:
            write(log, "+")  # It holds its port before it stands.
            time.sleep(0.2)
            Simple.__init__(self)
            self._log = log
        else:
            super().__init__(log)


def test_an_interrupt_closes_what_workers_are_constructing(tmp_path):
    log = tmp_path / "log"
    a2c.make_envs(Simple, 2, num_workers=1).close()  # The next one starts at once.
    with pytest.raises(KeyboardInterrupt):
        a2c.make_envs(Interrupted, 4, env_kwargs={"log": log, "here": os.getpid()}, num_workers=1)
    assert most_alive(log)[0] <= 4


# -- each an object of its own --


def test_the_same_object_twice_is_refused_in_this_process():
    one = Simple()
    with pytest.raises(a2c.UserError, match="the same environment"):
        a2c.make_envs(lambda: one, 2, vectorization="local")
    with pytest.raises(a2c.UserError, match="the same environment"):
        a2c.make_envs(lambda: gymnasium.wrappers.TimeLimit(one, 5), 2, vectorization="local")


def test_the_same_object_twice_is_refused_in_a_worker():
    one = Simple()
    with pytest.raises(a2c.UserError, match="the same environment"):
        a2c.make_envs(lambda: one, 2, num_workers=1, isolate_envs=True)


def test_an_object_that_others_step_is_refused_until_they_close_it():
    one = Simple()
    envs = a2c.make_envs(lambda: one, 1)
    with pytest.raises(a2c.UserError, match="the same environment"):
        a2c.make_envs(lambda: one, 1)
    envs.close()
    a2c.make_envs(lambda: one, 1).close()


def test_a_callable_that_gives_one_object_does_not_train(quick):
    one = Simple()
    with pytest.raises(a2c.UserError, match="the same environment"):
        a2c.train(lambda: one, **quick)
    with pytest.warns(UserWarning, match="an evaluation failed.*the same environment"):  # While training has it.
        a2c.train(lambda: one, **quick | {"num_envs": 1, "eval_every_steps": 128})


# -- what a callable is not --


class OfGym:
    """As Gym's own: what counts is where its class comes from."""


OfGym.__module__ = "gym.core"


@pytest.mark.parametrize(
    ("source", "says"),
    [
        (Simple(), r"made already \(a Simple\); pass what makes one, as lambda: Simple"),
        (gymnasium.make("CartPole-v1"), r'made already \(a TimeLimit\); pass what makes one, as "CartPole-v1"'),
        (gymnasium.vector.SyncVectorEnv([Simple]), "a vector environment"),
        (OfGym(), "an environment of Gym"),
        ([Simple], r"\(a list\); it must be a Gymnasium id, module:Id, or one callable"),
        (None, r"env is None \(a NoneType\)"),
        (b"CartPole-v1", r"\(a bytes\)"),
        (7, r"env is 7 \(a int\)"),
    ],
)
def test_a_source_that_makes_nothing_is_refused_in_a_sentence(quick, source, says):
    with pytest.raises(a2c.UserError, match=says):
        a2c.make_envs(source, 2)
    with pytest.raises(a2c.UserError, match=says):
        a2c.train(source, **quick)


@pytest.mark.parametrize("kwargs", [[1], "abc", {1: 2}, 7])
def test_arguments_that_are_no_dictionary_get_a_sentence(kwargs):
    with pytest.raises(a2c.UserError, match="it must be a dictionary of the constructor's arguments by name"):
        a2c.make_envs(Simple, 2, env_kwargs=kwargs)


def test_a_specification_is_a_source():
    envs = a2c.make_envs(gymnasium.spec("CartPole-v1"), 2, vectorization="local")
    assert envs.spec.max_episode_steps == 500
    envs.close()
    assert env_name(gymnasium.spec("CartPole-v1")) == "CartPole-v1"


# -- the sentences --


class Trading(Simple):
    def __init__(self, df, window=3, *, fee=0.0):
        super().__init__()
        int(window)


def raises(error):
    def make():
        raise error

    return make


class NoSuchDisplayException(Exception):  # noqa: N818 - its name is pyglet's
    pass


class GLFWError(Exception):
    pass


@pytest.mark.parametrize(
    ("make", "kwargs", "says"),
    [
        (Trading, {}, r"Trading needs 'df': --env-kwargs '\{\"df\": ...\}'"),
        (Trading, {"df": 1, "windw": 2}, r"there is no 'windw'; did you mean 'window'\?"),
        (Trading, {"df": 1, "colour": 2}, r"there is no 'colour'; it takes df, window, fee"),
        (Trading, {"df": 1, "window": []}, r"does not take env_kwargs .*int\(\) argument must be"),
        (functools.partial(Trading, window=4), {}, "Trading needs 'df'"),
        (lambda: __import__("cv2_"), {}, "needs a package that is not installed, cv2_: pip install 'cv2_'"),
        (
            raises(ModuleNotFoundError("No module named 'cv2'", name="cv2.aruco")),
            {},
            "cv2: pip install 'opencv-python'",
        ),
        (
            raises(gymnasium.error.DependencyNotInstalled("run `pip install x`")),
            {},
            "not installed: run `pip install x`",
        ),
        (raises(RuntimeError("No available video device")), {}, "without a display, start `xvfb-run a2c"),
        (raises(NoSuchDisplayException('Cannot connect to "None"')), {}, "without a display, start `xvfb-run a2c"),
        (
            raises(Exception("no display name and no $DISPLAY environment variable")),
            {},
            "without a display, start `xvfb-run a2c",
        ),
        (
            raises(Exception("X11: The DISPLAY environment variable is missing")),
            {},
            "without a display, start `xvfb-run a2c",
        ),
        (raises(RuntimeError("an OpenGL platform library has not been loaded")), {}, "MUJOCO_GL=egl"),
        (raises(Exception("gladLoadGL error")), {}, "MUJOCO_GL=egl"),
        (raises(GLFWError("(65550) b'X11: The DISPLAY environment variable is missing'")), {}, "MUJOCO_GL=egl"),
        (raises(gymnasium.error.Error("\x1b[33mthis is old\x1b[0m")), {}, "cannot make .*: this is old$"),
        (OfGym, {}, "made an environment of Gym .*import gymnasium instead of gym"),
        (lambda: Simple, {}, "made the class Simple .*give the class itself"),
        (lambda: gymnasium.vector.SyncVectorEnv([Simple]), {}, "made a vector environment"),
    ],
)
def test_an_environment_that_cannot_be_made_gets_a_sentence(make, kwargs, says):
    with pytest.raises(a2c.UserError, match=says) as refused:
        a2c.make_envs(make, 2, env_kwargs=kwargs)
    assert "\n" not in str(refused.value)
    assert not re.search(r"\x1b|0x[0-9a-f]", str(refused.value))


def test_registered_environments_get_the_same_sentences(registered):
    registered("Trading-v0", entry_point=Trading, kwargs={"window": 5})
    with pytest.raises(a2c.UserError, match="Trading-v0 needs 'df'"):
        a2c.make_envs("Trading-v0", 2)
    registered("OfGym-v0", entry_point=OfGym)
    with pytest.raises(a2c.UserError, match=r"cannot make OfGym-v0: it is of Gym, .*import gymnasium"):
        a2c.make_envs("OfGym-v0", 2)
    registered("Many-v0", entry_point=lambda: gymnasium.vector.SyncVectorEnv([Simple]))
    with pytest.raises(a2c.UserError, match=r"cannot make Many-v0: .*SyncVectorEnv"):
        a2c.make_envs("Many-v0", 2)
    registered("Vectorised-v0", vector_entry_point=lambda num_envs: None)
    with pytest.raises(a2c.UserError, match=r"cannot make Vectorised-v0: .*entry_point is not specified"):
        a2c.make_envs("Vectorised-v0", 2)


def test_an_old_version_that_is_no_more_names_the_newest(registered):
    gone = gymnasium.error.DependencyNotInstalled("this version has been moved elsewhere")
    registered("Old-v2", entry_point=raises(gone))
    with pytest.raises(a2c.UserError, match="Old-v2 needs a package that is not installed: this version"):
        a2c.make_envs("Old-v2", 2)
    registered("Old-v9", entry_point=Simple)
    registered("Old-v10", entry_point=Simple)
    with pytest.raises(
        a2c.UserError, match=r"cannot make Old-v2: this version .*; Old-v10 is the newest version of it"
    ):
        a2c.make_envs("Old-v2", 2)


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ("import pkg_resources_", "No module named 'pkg_resources_'.*theirs needs it: pip install 'pkg_resources_'"),
        ('raise ModuleNotFoundError("no", name="pkg_resources")', "theirs needs it: pip install 'setuptools<81'"),
        (
            "from gymnasium import no_such_name",
            "theirs is installed, but not compatible with the other installed packages",
        ),
        ("1 / 0", "ZeroDivisionError: division by zero.; theirs exists, but raises this when it is imported"),
    ],
)
def test_the_error_of_a_module_that_cannot_be_imported_says_what_is_missing(tmp_path, monkeypatch, lines, says):
    (tmp_path / "theirs.py").write_text(lines)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(a2c.UserError, match=says):
        a2c.make_envs("theirs:Some-v0", 1)


def test_a_well_known_package_that_is_not_installed_is_named():
    with pytest.raises(a2c.UserError, match=r"No module named 'mo_gymnasium'.*; pip install mo-gymnasium$"):
        a2c.make_envs("mo_gymnasium:deep-sea-treasure-v0", 1)
    with pytest.raises(a2c.UserError, match=r"panda_gym:PandaReach-v3 \(pip install panda-gym\)"):
        a2c.make_envs("PandaReach-v3", 1)
    with pytest.raises(a2c.UserError, match=r"unknown environment 'VizdoomBasic-v1'; pip install \"a2c\[vizdoom\]\""):
        a2c.make_envs("VizdoomBasic-v1", 1)


def test_a_module_that_needs_a_display_gets_the_hint_on_displays(tmp_path, monkeypatch):
    (tmp_path / "rooms.py").write_text(
        "class NoSuchDisplayException(Exception): ...\nraise NoSuchDisplayException('no')"
    )
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(a2c.UserError, match=r"NoSuchDisplayException: no.; without a display, start `xvfb-run a2c"):
        a2c.make_envs("rooms:Hallway-v0", 1)


def test_an_id_that_a_module_does_not_register_is_compared_with_those_that_it_does(registered, tmp_path, monkeypatch):
    (tmp_path / "gridworlds.py").write_text("from test_envs_construction import Simple")
    (tmp_path / "nothing.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    registered("Gridlike-v1", entry_point="gridworlds:Simple")
    with pytest.raises(a2c.UserError, match=r"did you mean gridworlds:Gridlike-v1\?$"):
        a2c.make_envs("gridworlds:Gridlike-v0", 1)
    with pytest.raises(a2c.UserError, match=r"'gridworlds:Else-v0'; gridworlds registers Gridlike-v1$"):
        a2c.make_envs("gridworlds:Else-v0", 1)
    with pytest.raises(a2c.UserError, match=r"nothing registers none; pass a class or a function .*nothing:Class"):
        a2c.make_envs("nothing:Qzyx-v0", 1)


def test_a_package_that_makes_warnings_errors_does_not_make_ours_so(tmp_path, monkeypatch):
    (tmp_path / "strict.py").write_text(
        "import warnings\nfrom test_envs_construction import Simple\nwarnings.filterwarnings('error')\n"
        "def Strict():\n    warnings.filterwarnings('error', 'again')\n    return Simple()\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    with warnings.catch_warnings():
        warnings.resetwarnings()
        a2c.make_envs("strict:Strict", 1, vectorization="local").close()
        assert [one for one in warnings.filters if one[0] == "error"] == []


def test_an_environment_of_several_agents_is_named_as_one():
    several = type("AECEnv", (), {"__module__": "pettingzoo.utils.env", "close": lambda self: None})
    with pytest.raises(a2c.UserError, match=r"of several agents .PettingZoo's AECEnv., and a2c trains one"):
        a2c.make_envs(several, 1)


def test_if_a_process_can_hold_only_one_the_hint_gives_each_a_process():
    said = "Cannot create multiple emulator instances per process, make sure to call env.close()"
    with pytest.raises(a2c.EnvError, match="with --isolate-envs and as many --num-workers as --num-envs, each has a"):
        a2c.make_envs(raises(RuntimeError(said)), 2)


@pytest.fixture
def registered():
    ids = []

    def register(env_id, **spec):
        ids.append(env_id)
        gymnasium.register(env_id, **spec)

    yield register
    for env_id in ids:
        del gymnasium.registry[env_id]


# -- registered by other means --


@pytest.fixture
def module(monkeypatch):
    """Makes a module that can be imported, and takes it and what it registered away again."""
    before = dict(gymnasium.registry)

    def make(name, **contents):
        made = types.ModuleType(name)
        for key, value in contents.items():
            if callable(value) and value.__module__ == __name__:
                value.__module__ = name
            setattr(made, key, value)
        monkeypatch.setitem(sys.modules, name, made)

    yield make
    gymnasium.registry.clear()
    gymnasium.registry.update(before)


def registering(*ids):
    def register():
        for env_id in ids:
            gymnasium.register(env_id, entry_point=Simple)

    return register


@pytest.mark.parametrize("name", ["register", "register_envs", "register_all", "register_environments"])
def test_a_module_that_registers_by_a_function_is_asked_to(module, name):
    module("asked", **{name: registering("Asked-v0")})
    envs = a2c.make_envs("asked:Asked-v0", 2, vectorization="local")
    assert envs.spec.id == "Asked-v0"
    envs.close()


def test_only_a_function_of_the_package_that_needs_nothing_is_called(module):
    def register_envs(folder):
        raise AssertionError

    called = []

    def register_all():
        called.append(1)

    module("another", register_envs=register_envs, register=gymnasium.register, register_all=register_all)
    sys.modules["another"].register_all.__module__ = "yet_another"
    with pytest.raises(a2c.UserError, match="unknown environment 'another:Another-v0'"):
        a2c.make_envs("another:Another-v0", 2)
    assert not called


def test_what_importing_registers_is_registered_once(module):
    def register_envs():
        raise AssertionError

    gymnasium.register("Early-v0", entry_point=Simple)
    module("early", register_envs=register_envs)
    a2c.make_envs("early:Early-v0", 2, vectorization="local").close()


def test_a_function_that_fails_to_register_gets_a_sentence(module):
    def register_envs():
        raise RuntimeError("no licence")

    module("unlicensed", register_envs=register_envs)
    with pytest.raises(a2c.UserError, match=r"unlicensed.register_envs\(\) raised RuntimeError: no licence"):
        a2c.make_envs("unlicensed:Unlicensed-v0", 2)


def test_a_module_that_ends_the_process_gets_a_sentence(module, tmp_path, monkeypatch):
    module("ending", register_envs=lambda: sys.exit("bye"))
    sys.modules["ending"].register_envs.__module__ = "ending"
    with pytest.raises(a2c.UserError, match=r"ending.register_envs\(\) raised SystemExit: bye"):
        a2c.make_envs("ending:Some-v0", 1)
    (tmp_path / "ends_at_import.py").write_text("import sys\nsys.exit('no licence')\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(a2c.UserError, match=r"cannot import the module of .* \(SystemExit: no licence\)"):
        a2c.make_envs("ends_at_import:Some-v0", 1)


def test_ids_that_a_module_registers_for_classes_of_others_are_named_as_they_must_be_typed(module):
    def register_envs():
        for number in (1, 2):
            gymnasium.register(f"Elsewhere{number}-v0", "gymnasium.envs.classic_control:CartPoleEnv")

    module("elsewhere", register_envs=register_envs)
    try:
        with pytest.raises(a2c.UserError, match="did you mean elsewhere:Elsewhere2-v0 or elsewhere:Elsewhere1-v0"):
            a2c.make_envs("elsewhere:Elsewhere2-v1", 1)
    finally:
        for number in (1, 2):
            gymnasium.registry.pop(f"Elsewhere{number}-v0", None)


def test_a_function_that_registers_instead_of_making_gets_a_hint_on_naming_one(module):
    setup, register = registering("First-v0", "Second-v0"), registering("Third-v0")
    setup.__qualname__, register.__qualname__ = "setup", "register"
    module("registers", setup=setup, register=register)
    with pytest.raises(a2c.UserError, match="setup makes no environment, it registers First-v0, Second-v0; rename it"):
        a2c.make_envs("registers:setup", 2)
    with pytest.raises(a2c.UserError, match="it registers Third-v0; pass one as registers:Third-v0"):
        a2c.make_envs("registers:register", 2)
    module("neither", setup=lambda: None)
    with pytest.raises(a2c.UserError, match=r"made a NoneType; it must make a gymnasium.Env"):
        a2c.make_envs("neither:setup", 2)


class Registry:
    """As Gym's was before 0.24: no mapping, but it has one."""

    def __init__(self, *ids):
        self.env_specs = dict.fromkeys(ids)


@pytest.mark.parametrize(
    ("version", "registry", "shimmys"),
    [("0.26.2", {"Old-v0": None}, "GymV26Environment-v0"), ("0.21.0", Registry("Old-v0"), "GymV21Environment-v0")],
)
def test_the_error_of_a_gym_id_has_the_command_for_shimmy(module, version, registry, shimmys):
    module("gym", __version__=version)
    module("gym.envs.registration", registry=registry)
    module("of_gym")
    with pytest.raises(a2c.UserError) as refused:
        a2c.make_envs("of_gym:Old-v0", 2)
    said = str(refused.value)
    assert "registered with Gym, which Gymnasium has replaced; pip install shimmy, and pass it as" in said
    assert f"shimmy:{shimmys} --env-kwargs '" in said
    kwargs = json.loads(said.split("--env-kwargs '")[1].rstrip("'"))
    assert kwargs["env_id"] == "of_gym:Old-v0"


def test_the_ids_of_shimmy_need_its_module():
    with pytest.raises(a2c.UserError, match=r"shimmy:GymV26Environment-v0 \(pip install shimmy\)"):
        a2c.make_envs("GymV26Environment-v0", 2)


def test_an_id_that_shimmy_registered_is_made(module):
    def make(env_id, **kwargs):
        assert (env_id, kwargs["make_kwargs"]) == ("of_gym:Old-v0", {"disable_env_checker": True})
        return Simple()

    module("shimmy")
    gymnasium.registry.pop("GymV26Environment-v0")
    gymnasium.register("GymV26Environment-v0", entry_point=make)
    kwargs = {"env_id": "of_gym:Old-v0", "make_kwargs": {"disable_env_checker": True}}
    a2c.make_envs("shimmy:GymV26Environment-v0", 2, env_kwargs=kwargs, vectorization="local").close()


@pytest.mark.parametrize("by_value", [False, True])
def test_an_id_of_vector_environments_only_gets_a_sentence(registered, by_value):
    registered("Batch-v0", vector_entry_point=lambda num_envs: None)
    source = gymnasium.spec("Batch-v0") if by_value else "Batch-v0"
    with pytest.raises(
        a2c.UserError, match=r"cannot make Batch-v0: .* vector_entry_point, .* set vectorization 'vector'"
    ):
        a2c.make_envs(source, 2)


def test_another_error_of_a_constructor_is_shown_without_our_own_frames():
    with pytest.raises(a2c.EnvError, match="no licence") as raised:
        a2c.make_envs(raises(ValueError("no licence")), 2)
    assert "a2c/envs" not in str(raised.value)
    assert "in make" in str(raised.value)


class Odd(Simple):
    def __init__(self, observation_space):
        super().__init__()
        self.observation_space = observation_space


class SpaceOfGym:
    pass


SpaceOfGym.__module__ = "gym.spaces.box"


@pytest.mark.parametrize(
    ("space", "says"),
    [
        (None, "has no observation_space"),
        (Box, "is the class Box; it must be an instance"),
        ((2,), r"is \(2,\); it must be a gymnasium.Space"),
        (SpaceOfGym(), "import gymnasium instead of gym"),
        (Text(3), "not supported: it must have a part that is made of numbers"),
    ],
)
def test_a_wrong_space_is_refused_in_a_sentence(space, says):
    with pytest.raises(a2c.UserError, match=says) as refused:
        a2c.make_envs(lambda: Odd(space), 2)
    assert "0x" not in str(refused.value)


class Uncopyable(Box):
    def __deepcopy__(self, memo):
        raise TypeError("no copies")


def _broken(self):
    raise RuntimeError("not connected")


@pytest.mark.parametrize("name", ["metadata", "spec", "render_mode"])
def test_what_nothing_depends_on_may_raise(name):
    kind = type("Broken", (Simple,), {name: property(_broken)})
    envs = a2c.make_envs(kind, 2, vectorization="local")
    assert envs.begin().shape == (2, 1)
    envs.close()


def test_a_space_that_cannot_be_copied_is_taken_as_it_is():
    envs = a2c.make_envs(lambda: Odd(Uncopyable(-1, 1, (1,))), 2, vectorization="local")
    assert isinstance(envs.single_observation_space, Uncopyable)
    envs.close()


def test_a_space_that_raises_is_an_error_of_the_environment():
    kind = type("Broken", (gymnasium.Env,), {"observation_space": property(_broken)})
    with pytest.raises(a2c.EnvError, match="not connected"):
        a2c.make_envs(kind, 2)


def test_metadata_may_be_none():
    class Bare(Simple):
        metadata = None

    envs = a2c.make_envs(Bare, 2)
    assert envs.metadata == {"autoreset_mode": gymnasium.vector.AutoresetMode.SAME_STEP}
    envs.close()


@pytest.mark.parametrize(
    ("wrapper", "says"),
    [
        (gymnasium.wrappers.NormalizeObservation, "--normalize-observations"),
        (gymnasium.wrappers.NormalizeReward, "--normalize-returns"),
    ],
)
def test_a_normalising_wrapper_is_warned_of_once(quick, wrapper, says):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        a2c.train(lambda: gymnasium.wrappers.TimeLimit(wrapper(Simple()), 9), **quick | {"final_eval_episodes": 2})
    assert [says in str(warning.message) for warning in caught] == [True]


def test_a_run_of_a_callable_asks_for_it(quick):
    def make():
        return Simple()

    make.__qualname__ = "CartPole-v1"
    run = a2c.train(make, **quick)
    for ask in (run.evaluate, lambda: a2c.resume(run, total_steps=512)):
        with pytest.raises(a2c.UserError, match=r"was trained on what the callable CartPole-v1 makes.*env=") as no:
            ask()
        assert "\n" not in str(no.value)
    assert run.evaluate(episodes=2, env=make).mean == 5.0
    assert a2c.Run(run.path).is_callable


def test_colours_of_gymnasiums_warnings_are_not_printed(tmp_path):
    program = (
        "import sys, warnings, gymnasium\n"
        "from a2c import cli\n"
        "gymnasium.register('Loud-v0', entry_point='gymnasium.envs.classic_control:CartPoleEnv')\n"
        "cli.main(['--version'])\n"
        "gymnasium.logger.warn('beware')\n"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stderr
    assert said == "a2c: WARN: beware\n"
