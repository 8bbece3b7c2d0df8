"""A2C on gymnax's CartPole-v1, jitted from end to end as PureJaxRL does it; prints its steps per second.

    python jax_a2c.py --env CartPole-v1 --num-envs N --rollout-length T --hidden H [H ...] --activation relu|tanh
        --steps S --threads K

The line before the rate says how long compiling took, which is not in it.
"""

import os
import time

import gymnax
import jax
import jax.numpy as jnp
import optax
from common import parser, steps_per_second

GAMMA, LAMBDA = 0.99, 1.0
VALUE_COEF, ENTROPY_COEF = 0.5, 0.01

options = parser(__doc__, "CartPole-v1").parse_args()
# JAX reads both when it first computes something.
os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.threads])
os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=" + ("true" if options.threads > 1 else "false")

env, env_params = gymnax.make(options.env)
N, T = options.num_envs, options.rollout_length
activation = {"relu": jax.nn.relu, "tanh": jnp.tanh}[options.activation]
optimizer = optax.chain(optax.clip_by_global_norm(0.5), optax.adam(1e-3))


def init_mlp(key, outputs, output_gain):
    """Weights [in, out] and biases [out]."""
    sizes = (4, *options.hidden, outputs)
    gains = [2**0.5] * len(options.hidden) + [output_gain]
    keys = jax.random.split(key, len(gains))
    return [
        (jax.nn.initializers.orthogonal(gain)(key, (fan_in, fan_out)), jnp.zeros(fan_out))
        for key, gain, fan_in, fan_out in zip(keys, gains, sizes[:-1], sizes[1:], strict=True)
    ]


def mlp(layers, x):
    """[..., 4] -> [..., outputs]."""
    for weight, bias in layers[:-1]:
        x = activation(x @ weight + bias)
    weight, bias = layers[-1]
    return x @ weight + bias


def act(parameters, training, _):
    """One step of every environment."""
    key, obs, state = training
    key, action_key, step_key = jax.random.split(key, 3)
    action = jax.random.categorical(action_key, mlp(parameters[0], obs))
    value = mlp(parameters[1], obs)[..., 0]
    step_keys = jax.random.split(step_key, N)
    next_obs, state, reward, done, _ = jax.vmap(env.step, (0, 0, 0, None))(step_keys, state, action, env_params)
    return (key, next_obs, state), (obs, action, value, reward, done)


def gae(value, last_value, reward, done):
    """Advantages [T, N]."""

    def back(carry, now):
        advantage, next_value = carry
        value, reward, done = now
        delta = reward + GAMMA * next_value * (1 - done) - value
        advantage = delta + GAMMA * LAMBDA * (1 - done) * advantage
        return (advantage, value), advantage

    return jax.lax.scan(back, (jnp.zeros(N), last_value), (value, reward, done), reverse=True)[1]


def loss(parameters, obs, action, advantage, returns):
    log_probs = jax.nn.log_softmax(mlp(parameters[0], obs))
    log_prob = jnp.take_along_axis(log_probs, action[..., None], -1)[..., 0]
    entropy = -(jnp.exp(log_probs) * log_probs).sum(-1)
    value_loss = ((returns - mlp(parameters[1], obs)[..., 0]) ** 2).mean()
    return -(advantage * log_prob).mean() + VALUE_COEF * value_loss - ENTROPY_COEF * entropy.mean()


def update(training, _):
    """A rollout and a gradient step."""
    parameters, moments, *rest = training
    rest, (obs, action, value, reward, done) = jax.lax.scan(lambda t, _: act(parameters, t, _), tuple(rest), None, T)
    advantage = gae(value, mlp(parameters[1], rest[1])[..., 0], reward, done)
    gradient = jax.grad(loss)(parameters, obs, action, advantage, advantage + value)
    change, moments = optimizer.update(gradient, moments)
    return (optax.apply_updates(parameters, change), moments, *rest), None


key, actor_key, critic_key, reset_key = jax.random.split(jax.random.key(0), 4)
parameters = init_mlp(actor_key, 2, 0.01), init_mlp(critic_key, 1, 1.0)
obs, state = jax.vmap(env.reset, (0, None))(jax.random.split(reset_key, N), env_params)
training = parameters, optimizer.init(parameters), key, obs, state


def run(updates, training):
    return jax.lax.fori_loop(0, updates, lambda _, training: update(training, None)[0], training)


start = time.perf_counter()
train = jax.jit(run).lower(0, training).compile()
print("compile", time.perf_counter() - start)
print(steps_per_second(options, lambda updates: jax.block_until_ready(train(updates, training))))
