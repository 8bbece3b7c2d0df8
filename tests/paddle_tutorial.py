"""The network of PaddlePaddle's A2C tutorial, as it stands there, and what its program makes of a rollout."""

from paddle.distribution import Categorical

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


def loss(network, obs, actions, returns, mixes_environments=True, squashes_entropy=True):
    """Its loss of T steps of N environments: obs [T, N, D], actions [T, N], returns [T, N].

    As in its program, whose `Categorical` is of probabilities though Paddle's takes logits, and whose actions [N] meet
    N distributions; without the first or the second of these faults where that is asked for.
    """
    log_probs, values, entropy = [], [], 0.0
    for seen, taken in zip(obs, actions, strict=True):
        probabilities, value = network(paddle.to_tensor(seen))
        chosen = paddle.to_tensor(taken)
        distribution = Categorical(probabilities)
        log_probs.append(distribution.log_prob(chosen if mixes_environments else chosen.unsqueeze(1)))
        entropy += (distribution if squashes_entropy else Categorical(paddle.log(probabilities))).entropy().mean()
        values.append(value)
    log_prob = paddle.concat(log_probs)  # [T N, N], or [T N, 1] as was meant
    advantage = paddle.to_tensor(returns.reshape(-1, 1)) - paddle.concat(values)
    actor_loss = -(log_prob * advantage.detach()).mean()
    return actor_loss + 0.5 * advantage.pow(2).mean() - 0.01 * entropy
