"""A2C on gymnax's CartPole-v1 as one compiled program, in JAX and Optax; prints its steps per second.

    python jax_tuned.py --env CartPole-v1 --num-envs N --rollout-length T --hidden H [H ...] --activation relu|tanh
        --steps S --threads K

The fastest form that was found by hand for a CPU, where jax_a2c.py is the usual one. The line before the rate says how
long compiling took, which is not in it.
"""

import os
import time

import gymnax
import jax
import jax.numpy as jnp
import optax
from common import parser, steps_per_second
from gymnax.environments.classic_control.cartpole import EnvState

GAMMA, LAMBDA = 0.99, 1.0
VALUE_COEF, ENTROPY_COEF = 0.5, 0.01
ROWS_IN_CACHE = 2048

options = parser(__doc__, "CartPole-v1").parse_args()
# JAX reads both when it first computes something.
os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.threads])
os.environ["XLA_FLAGS"] = "--xla_cpu_prefer_vector_width=512 --xla_cpu_multi_thread_eigen=" + (
    "true" if options.threads > 1 else "false"
)

env, env_params = gymnax.make(options.env)
N, T = options.num_envs, options.rollout_length
# A group of M environments goes through its rollout and gradient before the next: T * M activations stay in cache.
M = max(m for m in range(1, N + 1) if N % m == 0 and (m == 1 or m * T <= ROWS_IN_CACHE))
activation = {"relu": jax.nn.relu, "tanh": jnp.tanh}[options.activation]
optimizer = optax.flatten(optax.chain(optax.clip_by_global_norm(0.5), optax.adam(1e-3)))


def init_mlp(key, outputs, output_gain):
    """Hidden layers [in + 1, out], the last row the bias; the output layer [out, in], and its bias [out].

    XLA's gradient of an [in, out] output layer takes 20 times as long, that of a separate hidden bias a pass more.
    """
    sizes = (4, *options.hidden)
    *keys, output_key = jax.random.split(key, len(sizes))
    hidden = []
    for layer_key, fan_in, fan_out in zip(keys, sizes[:-1], sizes[1:], strict=True):
        weight = jax.nn.initializers.orthogonal(2**0.5)(layer_key, (fan_in, fan_out))
        hidden.append(jnp.concatenate([weight, jnp.zeros((1, fan_out))]))
    return hidden, jax.nn.initializers.orthogonal(output_gain)(output_key, (outputs, sizes[-1])), jnp.zeros(outputs)


def mlp(parameters, x):
    """[B, 4] -> [B, outputs]."""
    hidden, output, output_bias = parameters
    for layer in hidden:
        x = activation(jnp.pad(x, ((0, 0), (0, 1)), constant_values=1.0) @ layer)
    return x @ output.T + output_bias


observe = jax.vmap(env.get_obs)


def reset(uniform):
    """States as gymnax's reset gives them, from numbers [4, ...] in [0, 1)."""
    return EnvState(jnp.zeros(uniform.shape[1:], jnp.int32), *(0.1 * uniform - 0.05))


def step(actor, state, uniform):
    """One step of a group, as gymnax's step with its reset, from numbers [5, M] in [0, 1)."""
    obs = observe(state)
    logits = mlp(actor, obs)
    action = (uniform[0] < jax.nn.sigmoid(logits[:, 1] - logits[:, 0])).astype(jnp.int32)
    _, stepped, reward, done, _ = jax.vmap(env.step_env, (None, 0, 0, None))(None, state, action, env_params)
    state = jax.tree.map(lambda fresh, old: jnp.where(done, fresh, old), reset(uniform[1:]), stepped)
    return state, (obs, action, reward, done)


def gae(value, reward, done):
    """Advantages [T, M] from values [T + 1, M]."""

    def back(next_advantage, now):
        value, next_value, reward, done = now
        advantage = reward + GAMMA * jnp.where(done, 0.0, next_value + LAMBDA * next_advantage) - value
        return advantage, advantage

    return jax.lax.scan(back, jnp.zeros(M), (value[:-1], value[1:], reward, done), reverse=True)[1]


def loss(parameters, obs, action, reward, done):
    """The part of the loss that one group makes; the critic runs once, for the advantages and for its gradient."""
    actor, critic = parameters
    log_probs = jax.nn.log_softmax(mlp(actor, obs[:-1].reshape(T * M, 4)).reshape(T, M, 2))
    value = mlp(critic, obs.reshape((T + 1) * M, 4)).reshape(T + 1, M)
    fixed_value = jax.lax.stop_gradient(value)
    advantage = gae(fixed_value, reward, done)
    returns = advantage + fixed_value[:-1]
    log_prob = jnp.where(action == 1, log_probs[..., 1], log_probs[..., 0])
    entropy = -(jnp.exp(log_probs) * log_probs).sum(-1)
    return jnp.sum(-advantage * log_prob + VALUE_COEF * (returns - value[:-1]) ** 2 - ENTROPY_COEF * entropy) / (T * N)


def update(_, training):
    """A rollout and a gradient step."""
    key, parameters, moments, states = training
    key, rollout_key = jax.random.split(key)

    def add_group(gradient, group):
        state, uniform = group
        state, (obs, *rest) = jax.lax.scan(lambda state, u: step(parameters[0], state, u), state, uniform)
        part = jax.grad(loss)(parameters, jnp.concatenate([obs, observe(state)[None]]), *rest)
        return jax.tree.map(jnp.add, gradient, part), state

    zeros = jax.tree.map(jnp.zeros_like, parameters)
    gradient, states = jax.lax.scan(add_group, zeros, (states, jax.random.uniform(rollout_key, (N // M, T, 5, M))))
    change, moments = optimizer.update(gradient, moments)
    return key, optax.apply_updates(parameters, change), moments, states


key, actor_key, critic_key, reset_key = jax.random.split(jax.random.key(0), 4)
parameters = init_mlp(actor_key, 2, 0.01), init_mlp(critic_key, 1, 1.0)
training = key, parameters, optimizer.init(parameters), reset(jax.random.uniform(reset_key, (4, N // M, M)))

start = time.perf_counter()
train = jax.jit(lambda updates, training: jax.lax.fori_loop(0, updates, update, training)).lower(0, training).compile()
print("compile", time.perf_counter() - start)
print(steps_per_second(options, lambda updates: jax.block_until_ready(train(updates, training))))
