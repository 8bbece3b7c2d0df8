"""skrl's A2C (PyTorch) on Gymnasium's own vectorised CartPole-v1; prints its steps per second. It writes no files.

    python skrl_a2c.py --env CartPole-v1 --num-envs N --rollout-length T --hidden H [H ...] --activation relu|tanh
        --steps S --threads K

Two things it leaves no choice about: advantages are standardised, and the value loss has the coefficient 1.
"""

import gymnasium
import skrl
import torch
from common import parser, steps_per_second
from skrl.agents.torch.a2c import A2C
from skrl.envs.wrappers.torch import wrap_env
from skrl.memories.torch import RandomMemory
from skrl.models.torch import CategoricalMixin, DeterministicMixin, Model
from skrl.trainers.torch import SequentialTrainer

options = parser(__doc__, "CartPole-v1").parse_args()
skrl.config.torch.device = "cpu"
torch.set_num_threads(options.threads)
torch.manual_seed(0)


class Network(Model):
    """Fully connected layers from the observation to `outputs` numbers."""

    def __init__(self, envs, outputs: int):
        super().__init__(observation_space=envs.observation_space, action_space=envs.action_space)
        activation = {"relu": torch.nn.ReLU, "tanh": torch.nn.Tanh}[options.activation]
        hidden = [layer for width in options.hidden for layer in (torch.nn.LazyLinear(width), activation())]
        self.layers = torch.nn.Sequential(*hidden, torch.nn.LazyLinear(outputs))
        self.layers(torch.zeros(1, self.num_observations))  # the lazy layers learn their widths

    def compute(self, inputs, role=""):
        return self.layers(inputs["observations"]), {}


class Actor(CategoricalMixin, Network):
    def __init__(self, envs):
        Network.__init__(self, envs, outputs=2)
        CategoricalMixin.__init__(self)


class Critic(DeterministicMixin, Network):
    def __init__(self, envs):
        Network.__init__(self, envs, outputs=1)
        DeterministicMixin.__init__(self)


envs = wrap_env(
    gymnasium.make_vec(options.env, options.num_envs, vectorization_mode="vector_entry_point"), verbose=False
)
agent = A2C(
    models={"policy": Actor(envs), "value": Critic(envs)},
    memory=RandomMemory(memory_size=options.rollout_length, num_envs=options.num_envs),
    observation_space=envs.observation_space,
    action_space=envs.action_space,
    cfg={
        "rollouts": options.rollout_length,
        "mini_batches": 1,
        "learning_rate": 1e-3,
        "discount_factor": 0.99,
        "gae_lambda": 1.0,
        "entropy_loss_scale": 0.01,
        "grad_norm_clip": 0.5,
        "time_limit_bootstrap": True,
        "experiment": {"write_interval": 0, "checkpoint_interval": 0},
    },
)
trainer = SequentialTrainer(
    env=envs,
    agents=agent,
    cfg={"headless": True, "disable_progressbar": True, "close_environment_at_exit": False},
)


def train(updates: int) -> None:
    trainer.cfg.timesteps = updates * options.rollout_length
    trainer.train()


print(steps_per_second(options, train))
