"""The network of PaddlePaddle's A2C tutorial, unchanged."""

from a2c.exports.layer import paddle

nn = paddle.nn


class ActorCritic(nn.Layer):
    """The tutorial's forward also made a Categorical of the probabilities, which is left out here."""

    def __init__(self, num_inputs, num_outputs, hidden_size):
        super().__init__()
        self.critic = nn.Sequential(nn.Linear(num_inputs, hidden_size), nn.ReLU(), nn.Linear(hidden_size, 1))
        self.actor = nn.Sequential(
            nn.Linear(num_inputs, hidden_size), nn.ReLU(), nn.Linear(hidden_size, num_outputs), nn.Softmax(axis=1)
        )

    def forward(self, x):
        return self.actor(x), self.critic(x)
