"""Exported files as their users find them: natural forms, masks left out, sizes, messages."""

import shutil
import subprocess
import sys

import exported
import generated
import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_exports import STRICT, case, loaded, needs_gcc

import a2c
from a2c.cli import main
from a2c.commands.export import export
from a2c.errors import UserError
from a2c.exports import c, python_file
from a2c.exports.description import description_of, flat, without_masks
from a2c.spaces import batched, part_of, value_of
from benchmarks.exports import size_of_c


def same(ours, theirs):
    """Two values of a space, in the same types."""
    if isinstance(theirs, dict):
        assert list(ours) == list(theirs)
        for key, value in theirs.items():
            same(ours[key], value)
    elif isinstance(theirs, tuple):
        assert len(ours) == len(theirs)
        for one, other in zip(ours, theirs, strict=True):
            same(one, other)
    else:
        assert np.shape(ours) == np.shape(theirs)
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
        if np.ndim(theirs):
            assert np.asarray(ours).dtype == np.asarray(theirs).dtype


@pytest.mark.parametrize("name", exported.CASES)
def test_the_python_file_takes_and_gives_what_the_environment_does(name, tmp_path):
    policy, description, rows, masks, before, *_ = case(name)
    module = loaded(python_file.source_of(description, policy.observation_space, policy.action_space), tmp_path)
    for number in range(3):
        obs, carry = value_of(policy.observation_space)(rows[number]), before[number : number + 1]
        mask = masks[number] if description.num_masks else None
        more = {"action_mask": mask} if description.num_masks else {}
        if description.memory_size:
            (ours, after), (theirs, expected) = (one.act(obs, carry=carry, **more) for one in (module, policy))
            np.testing.assert_allclose(after, expected, atol=1e-6)
        else:
            ours, theirs = module.act(obs, **more), policy.act(obs, **more)
        same(ours, theirs)
    obs, more = batched(policy.observation_space, rows[:5]), {"carry": before[:5]} if description.memory_size else {}
    ours, theirs = (one.act(obs, **more) for one in (module, policy))
    same(*((ours[0], theirs[0]) if more else (ours, theirs)))


def test_the_python_file_reads_the_mask_that_is_observed_and_refuses_what_is_none(tmp_path):
    space, acted = spaces.Dict(x=spaces.Box(-1, 1, (2,))), spaces.Discrete(3)
    policy = exported.policy_of(space, acted)
    module = loaded(python_file.source_of(description_of(policy), space, acted), tmp_path)
    for allowed in range(3):
        mask = np.eye(3, dtype=np.int8)[allowed]
        assert module.act({"x": [0.1, 0.2], "action_mask": mask}) == allowed
        assert module.act({"x": [0.1, 0.2]}, action_mask=mask) == allowed
    for obs, message in (
        ({"x": [1.0]}, r"obs\['x'\] is float64 of shape \(1,\); it must be numbers of shape \(2,\)"),
        ({"x": ["a", "b"]}, "must be numbers"),
        ({"x": [np.nan, 1.0]}, "must be finite"),
    ):
        with pytest.raises(ValueError, match=message):
            module.act(obs)
    with pytest.raises(ValueError, match="it must have 3 zeros and ones"):
        module.act({"x": [0.1, 0.2]}, action_mask=[1, 2, 0])


def test_the_python_file_runs_alone_with_numpy_alone(tmp_path):
    policy, description, rows, *_ = case("memory")
    path = tmp_path / "policy.py"
    path.write_text(python_file.source_of(description, policy.observation_space, policy.action_space))
    lines = "\n".join(" ".join(map(repr, row.tolist())) for row in rows[:6])
    blocked = "import sys\nfor name in ('gymnasium', 'a2c', 'scipy'): sys.modules[name] = None\n"
    script = f"{blocked}import runpy\nrunpy.run_path({str(path)!r}, run_name='__main__')"
    done = subprocess.run([sys.executable, "-c", script], input=lines, capture_output=True, text=True, check=True)
    policy.start()
    assert done.stdout.split() == [str(policy.act(row)) for row in rows[:6]]


@needs_gcc
@pytest.mark.parametrize("name", ["numbers, choice", "double", "memory, mixed"])
def test_the_example_of_c_reads_observations_and_prints_actions(name, tmp_path):
    policy, description, rows, *_ = case(name)
    source, program = tmp_path / "policy.c", tmp_path / "policy"
    source.write_text(c.source_of(description))
    flags = ["-Wpedantic", "-Wshadow", "-Wmissing-prototypes", "-O2", "-DA2C_EXAMPLE_MAIN"]
    subprocess.run([*STRICT, *flags, source, "-o", program, "-lm"], check=True)
    obs = flat(policy.observation_space, rows[:5])
    given = "\n".join(" ".join(map(repr, row)) for row in obs.tolist())
    done = subprocess.run([program], input=given, capture_output=True, text=True, check=True)
    policy.start()
    expected = []
    carry = policy.begin(1)
    for row in rows[:5]:
        action, carry = policy.act_batch(row[None], None, None, carry)
        expected.append(flat(policy.action_space, action)[0])
    found = [[float(word) for word in line.split()] for line in done.stdout.splitlines()]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    assert subprocess.run([program], input="0.5", text=True, capture_output=True).returncode == 1


@needs_gcc
def test_c_of_an_ordinary_policy_is_hardly_larger_than_its_parameters(tmp_path):
    env = gymnasium.make("CartPole-v1")
    policy = exported.policy_of(env.observation_space, env.action_space, hidden_sizes=(64, 64))
    description = description_of(policy)
    assert description.parameter_bytes == 4 * (4 * 64 + 64 + 64 * 64 + 64 + 64 * 2 + 2)
    path = tmp_path / "policy.c"
    path.write_text(c.source_of(description))
    for flags in ("-Os", "-O2", "-O3"):
        assert description.parameter_bytes < size_of_c(path, flags) < 1.5 * description.parameter_bytes


def test_onnx_takes_any_number_of_observations_and_says_what_it_is_of():
    onnxruntime = pytest.importorskip("onnxruntime")
    from a2c.exports.onnx_model import model_of

    policy, description, rows, masks, *_ = case("mixed")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model_of(description).SerializeToString(), options)
    optional = session.get_overridable_initializers()
    assert [(one.name, one.type, one.shape) for one in [*session.get_inputs(), *optional]] == [
        ("obs.a", "tensor(int64)", ["batch"]),
        ("obs.b", "tensor(float)", ["batch", 2, 3]),
        ("obs.c", "tensor(int8)", ["batch", 3]),
        ("obs.d.0", "tensor(int64)", ["batch", 3]),
        ("obs.d.1", "tensor(uint8)", ["batch", 3]),
        ("action_mask", "tensor(bool)", ["batch_or_1", description.num_masks]),
    ]
    meta = session.get_modelmeta().custom_metadata_map
    assert meta["env_id"] == "Case-v0"
    assert '"obs.a": "Discrete(5, start=-2)"' in meta["observation_space"]
    for count in (1, 7):
        feed = {f"obs.{part.name}": part_of(rows[:count], part.name) for part in description.observation}
        # Without a mask, everything is allowed.
        (gear,) = session.run(["action.gear"], feed)
        assert gear.tolist() == policy.act_batch(rows[:count], None)[0]["gear"].tolist()
        feed["action_mask"] = masks[1:2].astype(bool)  # One row for all of them.
        (gear,) = session.run(["action.gear"], feed)
        expected = policy.act_batch(rows[:count], None, np.repeat(masks[1:2], count, 0))[0]["gear"]
        assert gear.tolist() == expected.tolist()
    plain = model_of(without_masks(description))
    assert "action_mask" not in [one.name for one in plain.graph.input]


def test_a_file_can_be_without_masks(quick, tmp_path):
    run = a2c.train("CartPole-v1", **quick)
    for to, signature in (("c", "void a2c_act(const float *obs, float *action);"), ("numpy", "def act(obs):")):
        path = tmp_path / f"deep/policy.{to}"
        assert main(["export", str(run.path), "--to", to, "--no-masks", "--out", str(path)]) == 0
        assert signature in path.read_text()
    module = loaded((tmp_path / "deep/policy.numpy").read_text(), tmp_path)
    obs = np.random.default_rng(0).normal(size=(200, 4)).astype(np.float32)
    np.testing.assert_array_equal(module.act(obs), a2c.load(run).act(obs))


def test_a_hostile_name_stays_in_its_comment(tmp_path):
    name = '*/ int bad; /* """ \\ ??/\nimport os; ??> \u202e'
    description = case("numbers, choice")[1]._replace(env_id=name)
    policy = case("numbers, choice")[0]
    module = loaded(python_file.source_of(description, policy.observation_space, policy.action_space), tmp_path)
    assert not hasattr(module, "os")
    if shutil.which("gcc"):
        (tmp_path / "policy.c").write_text(c.source_of(description))
        subprocess.run([*STRICT, "-c", tmp_path / "policy.c", "-o", tmp_path / "policy.o"], check=True)


def test_what_cannot_be_counted_exactly_is_refused(tmp_path):
    policy = exported.policy_of(spaces.Box(-1, 1, (2,)), spaces.Discrete(3, start=2**60))
    with pytest.raises(UserError, match=r"cannot export a policy of Discrete\(3, start=1152921504606846976\)"):
        export(policy, "c", tmp_path / "policy.c")
    assert list(tmp_path.iterdir()) == []


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(observed=generated.OBSERVATIONS, acted=generated.ACTIONS, memory=st.sampled_from((0, 16)))
def test_python_and_onnx_agree_with_the_policy_on_any_space(observed, acted, memory, tmp_path_factory):
    onnxruntime = pytest.importorskip("onnxruntime")
    from a2c.exports.onnx_model import model_of

    policy = exported.policy_of(observed, acted, hidden_sizes=(8,), memory_size=memory)
    description = description_of(policy)
    rows, masks, carry = exported.inputs_for(policy, 20)
    module = loaded(python_file.source_of(description, observed, acted), tmp_path_factory.mktemp("any"))
    more = {"carry": carry} if memory else {}
    for number in range(3):
        obs = value_of(observed)(rows[number])
        one = {"carry": carry[number : number + 1]} if memory else {}
        ours, theirs = module.act(obs, **one), policy.act(obs, **one)
        same(*((ours[0], theirs[0]) if memory else (ours, theirs)))
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model_of(description).SerializeToString(), options)
    feed = {f"obs.{part.name}" if part.name else "obs": part_of(rows, part.name) for part in description.observation}
    if description.num_masks:
        feed["action_mask"] = masks.astype(bool)
    outputs, *_ = session.run(["outputs"], feed | more)
    own = policy._network("actor", rows, carry)[0]
    np.testing.assert_allclose(outputs, own, rtol=0, atol=2e-6 * max(1, np.abs(own).max()))
