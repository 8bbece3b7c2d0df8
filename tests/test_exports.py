"""Every export acts as `policy.act` does."""

import ctypes
import functools
import importlib.util
import shutil
import subprocess

import exported
import numpy as np
import pytest

from a2c.exports import c, python_file
from a2c.exports.description import description_of, flat, without_masks
from a2c.exports.operations import Bits, Reals
from a2c.spaces import part_of

COUNT = 10_000
needs_gcc = pytest.mark.skipif(shutil.which("gcc") is None, reason="there is no gcc")
STRICT = ["gcc", "-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror"]


@functools.cache
def case(name):
    """A policy, its description, observations, masks, carries, and what the policy does."""
    observation_space, action_space, settings = exported.CASES[name]
    settings, takes_masks = dict(settings), settings.get("masks", True)
    settings.pop("masks", None)
    policy = exported.policy_of(observation_space, action_space, **settings)
    count = 1_000 if policy.architecture.images else COUNT
    rows, masks, carry = exported.inputs_for(policy, count)
    if not takes_masks:
        masks[...] = 1
    actions, after = policy.act_batch(rows, None, masks, carry)
    description = description_of(policy)
    if not takes_masks:
        description = without_masks(description)
    return policy, description, rows, masks, carry, actions, after


def check(name, action, carry, outputs, count=None):
    """Actions [B, C], carries [B, H] and outputs [B, O] of an export are those of the policy, to 1e-6.

    Outputs in units of the largest one; real actions in units of half their range. Where something is rounded or the
    largest taken, the policy itself decides by less than that in a few cases of 10,000: there, either is right.
    """
    policy, description, *arrays = case(name)
    rows, _, before, actions, after = (array[:count] for array in arrays)
    own = policy._network("actor", rows, before)[0].astype(np.float64)
    close = 1e-6 * max(1, np.abs(own).max())
    np.testing.assert_allclose(outputs, own, rtol=0, atol=close)
    np.testing.assert_allclose(carry, after, rtol=0, atol=1e-6)
    expected = flat(policy.action_space, actions)
    assert action.shape == expected.shape
    for head in description.heads:
        here = slice(head.part.first, head.part.first + head.part.size)
        _check_head(head, action[:, here], expected[:, here], own, close)


def _check_head(head, action, expected, own, close):
    if isinstance(head, Reals):
        _, center, half_range, low, high = head.scaling
        value = np.clip(own[:, head.output : head.output + head.size] * half_range + center, low, high)
        near = close * half_range + 1e-6 * np.abs(value)
        if head.is_whole:
            near += 0.5
            np.testing.assert_array_equal(action, np.rint(action))
        elif head.part.dtype == "float16":
            near += np.spacing(np.abs(value).astype(np.float16)).astype(np.float64) / 2
            np.testing.assert_array_equal(action, action.astype(np.float16))
        assert (np.abs(action - value) <= near).all()
        if head.is_whole or head.part.dtype == "float16":
            assert (np.abs(action - expected) <= close * half_range + 1e-6 * np.abs(expected)).mean() > 0.998
        return
    differ = action != expected
    assert differ.mean() < 0.001
    if isinstance(head, Bits):
        assert (np.abs(own[:, head.output : head.output + head.size][differ]) <= close).all()
        return
    firsts = head.output + np.cumsum([0, *head.sizes[:-1]])
    for row, column in np.argwhere(differ):
        ours, theirs = (int(found[row, column]) - head.starts[column] for found in (expected, action))
        assert abs(own[row, firsts[column] + ours] - own[row, firsts[column] + theirs]) <= 2 * close


def compiled(source, folder):
    """A function on batches, from a file of C."""
    path, library = folder / "policy.c", folder / "policy.so"
    path.write_text(source)
    subprocess.run([*STRICT, "-O2", "-shared", "-fPIC", path, "-o", library, "-lm"], check=True)
    return ctypes.CDLL(str(library))


def outputs_of_c(library, name, obs):
    _, description, rows, _, before, *_ = case(name)
    outputs, carry = np.empty((len(rows), description.num_outputs), np.float32), before.copy()
    for number in range(len(rows)):
        arguments = [obs[number], *([carry[number]] if description.memory_size else []), outputs[number]]
        library.a2c_outputs(*map(pointer, arguments))
    return outputs


def loaded(source, folder):
    """A module, from a file of Python."""
    path = folder / "policy.py"
    path.write_text(source, encoding="utf-8")
    spec = importlib.util.spec_from_file_location("exported_policy", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def pointer(array):
    return array.ctypes.data_as(ctypes.c_void_p)


@needs_gcc
@pytest.mark.parametrize("name", exported.CASES)
def test_c_acts_as_the_policy_does(name, tmp_path):
    policy, description, rows, masks, before, *_ = case(name)
    library = compiled(c.source_of(description), tmp_path)
    obs = flat(policy.observation_space, rows).astype(description.obs_type)
    action, carry = np.empty((len(rows), description.num_actions), description.action_type), before.copy()
    for number in range(len(rows)):
        arguments = [obs[number], action[number]]
        if description.memory_size:
            arguments.insert(1, carry[number])
        if description.num_masks:
            arguments.insert(1, masks[number])
        library.a2c_act(*map(pointer, arguments))
    check(name, action.astype(np.float64), carry, outputs_of_c(library, name, obs))


@pytest.mark.parametrize("name", exported.CASES)
def test_the_python_file_acts_as_the_policy_does(name, tmp_path):
    policy, description, rows, masks, before, *_ = case(name)
    module = loaded(python_file.source_of(description, policy.observation_space, policy.action_space), tmp_path)
    obs = flat(policy.observation_space, rows)
    carry = [before] if description.memory_size else []
    outputs = module.outputs_of(obs, *carry)
    outputs, carry = outputs if carry else (outputs, before)
    action = module.actions_of(outputs, *([masks] if description.num_masks else []))
    for part in description.action:
        here = slice(part.first, part.first + part.size)
        action[:, here] = action[:, here].astype(part.dtype)  # As `act` does.
    check(name, action, carry, outputs)


@pytest.mark.parametrize("name", exported.CASES)
def test_onnx_acts_as_the_policy_does(name, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    from a2c.exports import onnx_model

    _, description, rows, masks, before, *_ = case(name)
    model = onnx_model.model_of(description)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    given = {f"obs.{part.name}" if part.name else "obs": part_of(rows, part.name) for part in description.observation}
    if description.num_masks:
        given["action_mask"] = masks.astype(np.bool_)
    if description.memory_size:
        given["carry"] = before
    found = dict(zip([output.name for output in session.get_outputs()], session.run(None, given), strict=True))
    columns = []
    for part in description.action:
        array = found[f"action.{part.name}" if part.name else "action"]
        assert (array.dtype, array.shape) == (np.dtype(part.dtype), (len(rows), *part.shape))
        columns.append(array.reshape(len(rows), -1).astype(np.float64))
    check(name, np.concatenate(columns, 1), found.get("next_carry", before), found["outputs"])


@pytest.mark.parametrize("name", exported.CASES)
def test_paddles_inference_model_acts_as_the_policy_does(name, tmp_path):
    from a2c.exports.layer import paddle
    from a2c.exports.paddle_model import files_of

    policy, description, rows, masks, before, *_ = case(name)
    for file, data in files_of(description, "policy").items():
        (tmp_path / file).write_bytes(data)
    layer = paddle.jit.load(str(tmp_path / "policy"))
    given = [flat(policy.observation_space, rows).astype(description.obs_type)]
    given += [masks.astype(np.bool_)] if description.num_masks else []
    given += [before] if description.memory_size else []
    action, *carry, outputs = (tensor.numpy() for tensor in layer(*map(paddle.to_tensor, given)))
    check(name, action.astype(np.float64), carry[0] if carry else before, outputs)


def test_nothing_of_the_critic_is_exported():
    policy, description, *_ = case("image, a critic with its own")
    critic = {name for name in policy.parameters if name.startswith("critic.")}
    assert "critic.image.0.0.weight" in critic
    assert not critic & description.constants.keys()
    assert description.constants["image.0.0.weight"].shape == policy.parameters["image.0.0.weight"].shape
