"""The packages that `benchmarks.environments_walked` tries, and the environments that represent each."""

from __future__ import annotations

import json
from typing import NamedTuple


class Walked(NamedTuple):
    """An environment, as the command line names it."""

    env_id: str
    flags: tuple[str, ...] = ()


class Package(NamedTuple):
    """What to install, and what to train on."""

    name: str
    """As pip knows it."""
    about: str
    walked: tuple[Walked, ...]
    extra: tuple[str, ...] = ()
    """What else to install, in the same step."""
    module: str = ""
    """What stands in mine.py, where a user would have to write some lines."""
    debian: str = ""
    """What Debian calls the programs that it needs besides."""
    because: str = ""
    """Why it does not install, where what pip says is no reason."""

    @property
    def pip(self) -> tuple[str, ...]:
        """Arguments of `pip install`."""
        return (self.name, *self.extra)


def of(
    name: str,
    about: str,
    *ids: str,
    extra: tuple[str, ...] = (),
    module: str = "",
    debian: str = "",
    because: str = "",
) -> Package:
    """A package, its environments as lines of a shell without quotes: the flags follow the id."""
    walked = []
    for line in ids:
        env_id, *flags = line.split(" ")
        walked.append(Walked(env_id, tuple(flags)))
    return Package(name, about, tuple(walked), extra, module, debian, because)


def of_gym(env_id: str, **make_kwargs: bool) -> str:
    """An environment of Gym, named as a2c says that it must be."""
    kwargs = {"env_id": env_id, "make_kwargs": {**make_kwargs, "disable_env_checker": True}}
    return f"shimmy:GymV26Environment-v0 --env-kwargs {json.dumps(kwargs, separators=(',', ':'))}"


PACKAGES = (
    of(
        "minigrid",
        "grid worlds with missions in words",
        "minigrid:MiniGrid-Empty-8x8-v0",
        "minigrid:BabyAI-GoToRedBall-v0",
    ),
    of(
        "highway-env",
        "driving",
        "highway_env:highway-fast-v0",
    ),
    of(
        "gymnasium-robotics",
        "robots in MuJoCo",
        "gymnasium_robotics:FetchReach-v4",
        "gymnasium_robotics:PointMaze_UMaze-v3",
        extra=("mujoco<3.4",),
    ),
    of("panda-gym", "a robot's arm in PyBullet", "panda_gym:PandaReach-v3"),
    of(
        "popgym",
        "partial observability",
        "popgym:popgym-RepeatPreviousEasy-v0",
        "popgym:popgym-AutoencodeEasy-v0",
    ),
    of(
        "gym-electric-motor",
        "electric drives",
        "gym_electric_motor:Cont-CC-PMSM-v0",
    ),
    of("nle", "NetHack", "nle:NetHackScore-v0 --max-episode-steps 200"),
    of(
        "minihack",
        "levels made of NetHack",
        "minihack:MiniHack-Room-5x5-v0",
        extra=("setuptools<81",),
        debian="bison flex",
    ),
    of("vizdoom", "Doom", "vizdoom.gymnasium_wrapper:VizdoomBasic-v1 --max-episode-steps 200"),
    of("tetris-gymnasium", "Tetris", "tetris_gymnasium.envs:tetris_gymnasium/Tetris"),
    of(
        "mo-gymnasium",
        "rewards of several numbers",
        "mo_gymnasium:deep-sea-treasure-v0 --reward-weights 1 0.1",
        "mo_gymnasium:mo-mountaincar-v0 --reward-weights 1 0 0",
    ),
    of(
        "ale-py",
        "Atari 2600",
        'ale_py:ALE/Pong-v5 --env-kwargs {"obs_type":"ram"}',
        "ale_py:ALE/Breakout-v5 --max-episode-steps 200",
    ),
    of("flappy-bird-gymnasium", "Flappy Bird", "flappy_bird_gymnasium:FlappyBird-v0"),
    of("gym-anytrading", "trading", "gym_anytrading:forex-v0"),
    of(
        "gym-trading-env",
        "trading on a table of one's own",
        "mine:Trading",
        module=(
            "import gymnasium, gym_trading_env, numpy, pandas\n\n"
            "def Trading():\n"
            "    close = 100 + numpy.random.default_rng(0).normal(size=2000).cumsum().clip(-50)\n"
            '    df = pandas.DataFrame({"open": close, "high": close, "low": close, "close": close})\n'
            '    df.index = pandas.date_range("2024-01-01", periods=len(df), freq="h")\n'
            '    df["feature_change"] = df["close"].pct_change().fillna(0)\n'
            '    return gymnasium.make("TradingEnv", df=df, verbose=0)\n'
        ),
    ),
    of(
        "safety-gymnasium",
        "robots with costs",
        "safety_gymnasium:SafetyPointGoal1Gymnasium-v0",
        because="it wants pygame 2.1.0, which has no wheel for this Python and does not build",
    ),
    of("metaworld", "fifty tasks of an arm", 'metaworld:Meta-World/MT1 --env-kwargs {"env_name":"reach-v3"}'),
    of(
        "crafter",
        "a world to survive in, of Gym",
        "mine:Crafter",
        module=(
            "import crafter, gymnasium, numpy\n\n"
            "class Crafter(gymnasium.Env):\n"
            '    metadata = {"render_modes": ["rgb_array"]}\n\n'
            "    def __init__(self, render_mode=None):\n"
            "        self.render_mode, self.env = render_mode, crafter.Env()\n"
            "        self.observation_space = gymnasium.spaces.Box(0, 255, (64, 64, 3), numpy.uint8)\n"
            "        self.action_space = gymnasium.spaces.Discrete(17)\n\n"
            "    def reset(self, *, seed=None, options=None):\n"
            "        super().reset(seed=seed)\n"
            "        self.env._seed = seed\n"
            "        self.env._episode = 0\n"
            "        return self.env.reset(), {}\n\n"
            "    def step(self, action):\n"
            "        obs, reward, done, info = self.env.step(action)\n"
            '        return obs, reward, done and info["discount"] == 0, done and info["discount"] != 0, {}\n\n'
            "    def render(self):\n"
            "        return self.env.render()\n"
        ),
    ),
    of(
        "gym-sokoban",
        "Sokoban, of Gym",
        of_gym("gym_sokoban:Sokoban-v0", apply_api_compatibility=True),
        extra=("gym==0.26.2", "shimmy", "setuptools<81"),
    ),
    of("pyflyt", "drones", "PyFlyt.gym_envs:PyFlyt/QuadX-Hover-v4"),
    of(
        "evogym",
        "soft robots",
        "mine:Walker",
        debian="cmake xorg-dev libglu1-mesa-dev",
        because="the pybind11 in it does not compile with Python 3.11",
        module=(
            "import evogym.envs, gymnasium, numpy\n\n"
            "def Walker():\n"
            "    body = numpy.array([[3, 3, 3, 3], [3, 4, 4, 3], [3, 0, 0, 3]])\n"
            '    return gymnasium.make("Walker-v0", body=body)\n'
        ),
    ),
    of("gym-pusht", "pushing a T", "gym_pusht:gym_pusht/PushT-v0"),
    of("gym-aloha", "two arms", "gym_aloha:gym_aloha/AlohaInsertion-v0 --max-episode-steps 200"),
    of("gym-xarm", "a robot's arm", "gym_xarm:gym_xarm/XarmLift-v0"),
    of(
        "bluesky-gym",
        "air traffic",
        "bluesky_gym:DescentEnv-v0",
        extra=("numpy<2.3",),
    ),
    of(
        "miniworld",
        "rooms in three dimensions",
        "miniworld:MiniWorld-Hallway-v0",
        "mine:Hallway",
        module=(
            "import gymnasium, pyglet\n\n"
            'pyglet.options["headless"] = True\n\n'
            "import miniworld\n\n"
            "def Hallway(**kwargs):\n"
            '    return gymnasium.make("MiniWorld-Hallway-v0", **kwargs)\n'
        ),
    ),
    of(
        "shimmy",
        "dm_control and bsuite",
        "shimmy:dm_control/cartpole-balance-v0",
        extra=("shimmy[dm-control]", "mujoco<3.4"),
    ),
    of("bsuite", "experiments of DeepMind", "shimmy:bsuite/catch-v0", extra=("shimmy[bsuite]",)),
    of("gymnasium-search-race", "races of pods", "gymnasium_search_race:gymnasium_search_race/SearchRace-v3"),
    of("gymnasium-2048", "2048", "gymnasium_2048:gymnasium_2048/TwentyFortyEight-v0"),
    of("gym-simplegrid", "grid worlds", "gym_simplegrid:SimpleGrid-8x8-v0"),
    of("gymnasium-snake-game", "Snake", "gymnasium_snake_game:Snake-v1"),
    of("gymnasium-sudoku", "Sudoku", "gymnasium_sudoku:sudoku-v0"),
    of("gymnasium-cartpole-swingup", "a cart and a pole", "gymnasium_cartpole_swingup:CartPoleSwingUp-v0"),
    of("gymnasium-hardmaze", "a maze for novelty", "gymnasium_hardmaze:HardMaze-v0"),
    of("gymnasium-mars-lander", "a lander", "gymnasium_mars_lander:gymnasium_mars_lander/MarsLander-v1"),
    of("rubiks-cube-gym", "puzzles that turn", "rubiks_cube_gym:rubiks-cube-222-v0"),
    of("memory-gym", "memory", "memory_gym:MortarMayhem-Grid-v0"),
    of(
        "memory-maze",
        "memory in mazes, of Gym",
        of_gym("memory_maze:MemoryMaze-9x9-v0", apply_api_compatibility=True),
        extra=("gym==0.26.2", "shimmy", "mujoco<3.4"),
    ),
    of("gym-mtsim", "MetaTrader", "gym_mtsim:forex-hedge-v0", extra=("pytz",)),
    of("pogema", "finding ways on grids", "pogema:Pogema-v0"),
    of("nasim", "penetration tests", "nasim:Tiny-v0"),
    of("gym-multigrid", "grids of several agents", "gym_multigrid:multigrid-collect-single-v0", extra=("numpy<2",)),
    of(
        "matrix-mdp-gym",
        "tabular, of one's own",
        "mine:Matrix",
        module=(
            "import gymnasium, matrix_mdp, numpy\n\n"
            "def Matrix():\n"
            "    p_0, p = numpy.full(2, 0.5), numpy.full((2, 2, 2), 0.5)\n"
            "    r = numpy.eye(2)[:, :, None] * numpy.ones(2)\n"
            '    env = gymnasium.make("matrix_mdp/MatrixMDP-v0", p_0=p_0, p=p, r=r)\n'
            "    return gymnasium.wrappers.TimeLimit(env, 50)\n"
        ),
    ),
    of("buffalo-gym", "bandits", "buffalo_gym:Buffalo-v0", "buffalo_gym:ContextualBandit-v0"),
    of(
        "pybullet-envs-gymnasium",
        "robots in PyBullet",
        "pybullet_envs_gymnasium:HopperBulletEnv-v0",
    ),
    of("fancy-gym", "movements as actions", "fancy_gym:fancy/Reacher5d-v0"),
    of("gym-anm", "grids of electricity", "gym_anm:ANM6Easy-v0 --max-episode-steps 200"),
    of("seals", "goals with nothing to hint at them", "seals:seals/CartPole-v0", "seals:seals/Branching-v0"),
    of("arcle", "the ARC corpus", "arcle:ARCLE/O2ARCEnv-v2 --max-episode-steps 200"),
    of(
        "tile-match-gym",
        "tiles to match",
        'tile_match_gym:TileMatch-v0 --env-kwargs {"num_rows":6,"num_cols":6,"num_colours":4,'
        '"num_moves":30,'
        '"colourless_specials":[],"colour_specials":[]}',
    ),
    of(
        "sumo-rl",
        "traffic lights",
        "mine:Crossing",
        extra=("eclipse-sumo",),
        module=(
            "import os, pathlib, sumo, sumo_rl\n\n"
            'os.environ.setdefault("SUMO_HOME", sumo.SUMO_HOME)\n\n'
            "def Crossing():\n"
            '    nets = pathlib.Path(sumo_rl.__file__).parent / "nets" / "single-intersection"\n'
            '    files = {"net_file": "single-intersection.net.xml", "route_file": "single-intersection.rou.xml"}\n'
            "    files = {name: str(nets / file) for name, file in files.items()}\n"
            "    return sumo_rl.SumoEnvironment(**files, single_agent=True, num_seconds=1000, sumo_warnings=False)\n"
        ),
    ),
    of("procgen2", "levels that are drawn, of Gym", of_gym("procgen:procgen-coinrun-v0"), extra=("shimmy",)),
    of("rware", "warehouses, several agents", "rware:rware-tiny-2ag-v2 --reward-weights 1 1"),
    of("lbforaging", "foraging, several agents", "lbforaging:Foraging-8x8-2p-3f-v3 --reward-weights 1 1"),
    of("gym-hil", "an arm in MuJoCo", "gym_hil:gym_hil/PandaPickCubeBase-v0"),
    of("ap-gym", "looking where it pays", "ap_gym:LightDark-v0", extra=("aiohttp",)),
    of(
        "stable-retro",
        "consoles' games",
        "mine:Airstriker --num-envs 4 --num-workers 4 --isolate-envs --eval-episodes 4",
        module=(
            "import stable_retro\n\n"
            "def Airstriker():\n"
            '    return stable_retro.make("Airstriker-Genesis-v0", render_mode="rgb_array")\n'
        ),
    ),
    of(
        "metadrive-simulator",
        "driving",
        "mine:Drive",
        module="from metadrive import MetaDriveEnv\n\ndef Drive():\n    return MetaDriveEnv({'num_scenarios': 5})\n",
    ),
    of("ns-gym", "environments that change", "ns_gym:ns_gym/Bridge-v0"),
    of("sustaingym", "energy", "sustaingym:sustaingym/Cogen-v0", extra=("onnxruntime",)),
    of(
        "gym-classics2",
        "tabular classics",
        "gym_classics2:ClassicGridworld-v1",
    ),
    of("carl-bench", "contexts", "carl:carl/CARLCartPole-v0"),
    of(
        "citylearn",
        "buildings and batteries",
        "mine:City",
        module=(
            "from citylearn.citylearn import CityLearnEnv\n"
            "from citylearn.wrappers import NormalizedObservationWrapper, StableBaselines3Wrapper\n\n"
            "def City():\n"
            '    env = CityLearnEnv("citylearn_challenge_2022_phase_1", central_agent=True)\n'
            "    return StableBaselines3Wrapper(NormalizedObservationWrapper(env))\n"
        ),
    ),
    of("gym-saturation", "provers, observed as text", "gym_saturation:Vampire-v0"),
    of("miniwob", "pages of the web", "miniwob:miniwob/click-test-v1", debian="chromium-driver"),
    of(
        "gym-super-mario-bros",
        "Super Mario, of Gym",
        of_gym("gym_super_mario_bros:SuperMarioBros-v0", apply_api_compatibility=True),
        extra=("gym", "shimmy", "numpy<2"),
    ),
    of("pettingzoo", "several agents", "pettingzoo.butterfly.pistonball_v6:env", extra=("pettingzoo[butterfly]",)),
    of(
        "grid2op",
        "grids of electricity",
        "mine:Grid --max-episode-steps 200",
        extra=("lightsim2grid",),
        module=(
            "import grid2op\n"
            "from grid2op.gym_compat import BoxGymActSpace, BoxGymObsSpace, GymEnv\n\n"
            "def Grid():\n"
            '    made = grid2op.make("l2rpn_case14_sandbox", test=True)\n'
            "    env = GymEnv(made)\n"
            "    env.observation_space = BoxGymObsSpace(made.observation_space)\n"
            "    env.action_space = BoxGymActSpace(made.action_space)\n"
            "    return env\n"
        ),
    ),
)
"""In the order of the table."""
