"""Damage to JSON: settings, metrics, manifests, with values that somebody might not expect. Each says what it did."""

from __future__ import annotations

import contextlib
import json
import random
from typing import Any

from a2c.errors import UserError
from a2c.run.folder import Run
from faults.folders.copies import Copy

MODULE = "module_that_no_run_may_import"

_NUMBERS = (
    "null", "true", "false", "0", "-1", "1", "2", "3", "7", "3.5", "-0.0", "0.1", "1e999", "-1e999", "NaN",
    "Infinity", "-Infinity", "1e400", "1e-400", "1e308", "100000", "1000000", "1000001", "2147483648",
    "9007199254740991", "9007199254740992", "9223372036854775807", "9223372036854775808", "18446744073709551616",
    "1180591620717411303424", "-1180591620717411303424", "[]", "{}", "[[]]", "[1,2]", "[true]", "[0]", "[-1]",
    "[4.0]", "[null]", "[100000,100000]", "[2,[3]]", '{"a":NaN}', '{"a":1e999}', '{"x":{"y":[]}}',
    '{"render_mode":"human"}', '{"sutton_barto_reward":true}', '{"max_episode_steps":-1}', '{"id":"X"}',
    '{"render_mode":5}', '{"x":"yyyyyyyyy"}',
)  # fmt: skip

_STRINGS = (
    "", " ", "auto", "best", "none", "relu", "tanh", "compiled", "local", "paddle", "gpu", "gpu:7", "tensorboard",
    "../../etc/passwd", "/etc/passwd", "a\0b", "a\nb", "\x1b[2J", "\ud800", "ä" * 50, "\N{RIGHT-TO-LEFT OVERRIDE}x",
    "os:system", f"{MODULE}:Env-v0", f"{MODULE}:", ":", "a:b:c", "a:\x1b[2Jb",
    "$\\frac{$", "$x_{$ $", "_x", "環境", "CartPole-v1", "CartPole-v0", "Pendulum-v1",
    "FrozenLake-v1", "Acrobot-v1", "Failing-v0", "cartpole", "%s%n{0}", "SIGINT", "SIGKILL", "SIG_DFL", "x" * 100_000,
)  # fmt: skip


def hostile_json(rng: random.Random) -> str:
    """A JSON value, as text: also some that JSON does not know and Python reads."""
    kind = rng.random()
    if kind < 0.55:
        return rng.choice(_NUMBERS)
    if kind < 0.9:
        return json.dumps(rng.choice(_STRINGS))
    depth, (left, right) = rng.choice((10, 100, 300, 450, 900, 950, 990, 100_000)), rng.choice(("[]", ('{"a":', "}")))
    return rng.choice((left * depth + "1" + right * depth, "9" * rng.choice((30, 400, 4_000, 5_000))))


def json_changed(copy: Copy) -> str:
    path = copy.pick("*.json")
    try:
        tree = json.loads(path.read_bytes())
        holder, key, where = copy.rng.choice(_places(tree["config"] if path.name == "config.json" else tree))
    except (ValueError, KeyError, IndexError, TypeError, RecursionError):
        return "nothing"  # An earlier mutation has been here.
    way, raw = copy.rng.choice((*["value"] * 4, "removed", "renamed", "added")), ""
    if way == "removed":
        del holder[key]
    elif way == "renamed":
        if isinstance(holder, dict):
            holder[copy.rng.choice(("", "x", "__class__", "a\nb", "\ud800", f"{key}s"))] = holder.pop(key)
    else:
        raw = hostile_json(copy.rng)
        if way == "added" and isinstance(holder, dict):
            key = copy.rng.choice(("x", "__init__", "self", "format", "a\nb"))
        holder[key] = "@"
    path.write_text(json.dumps(tree, indent=2).replace('"@"', raw))
    shown = raw if len(raw) < 40 else f"{raw[:20]}... ({len(raw)} characters)"
    return f"{copy.name(path)}: {where} {way} {shown}".rstrip() + copy.seal(path)


def _places(value: Any, where: str = "") -> list[tuple[Any, Any, str]]:
    """Everything in a JSON value that could be another: (what holds it, its key, how to get there)."""
    items: list[tuple[Any, Any]] = []
    if isinstance(value, dict):
        items = list(value.items())
    elif isinstance(value, list):
        items = list(enumerate(value))
    return [(value, key, f"{where}/{key}") for key, _ in items] + [
        place for key, item in items for place in _places(item, f"{where}/{key}")
    ]


def config_changed(copy: Copy) -> str:
    """One field of config.json, with what it might be taken for."""
    path = copy.path / "config.json"
    try:
        tree = json.loads(path.read_bytes())
        config = tree["config"]
        fields = sorted(config)
        name = copy.rng.choice([*fields, *(("env_id", "env_id", "env_kwargs", "hidden_sizes") * 4)])
        raw = hostile_json(copy.rng)
        config[name] = "@"
    except (ValueError, KeyError, TypeError, OSError, RecursionError):
        return "nothing"
    path.write_text(json.dumps(tree).replace('"@"', raw))
    return f"config.json: /config/{name} is {raw[:40]} ({len(raw)} characters)" + _agreeing(copy)


def _agreeing(copy: Copy) -> str:
    """Makes the checkpoints say that they are of these settings, mostly: the hostile case."""
    with contextlib.suppress(UserError, KeyError, ValueError, TypeError, RecursionError):
        identity = Run(copy.path).config.identity()
        if copy.rng.random() < 0.7:
            for manifest in copy.files("manifest.json"):
                value = json.loads(manifest.read_bytes())
                value["notes"]["config"] = identity
                manifest.write_text(json.dumps(value))
            return ", and the checkpoints agree"
    return ""


def metrics_changed(copy: Copy) -> str:
    path, rng = copy.path / "metrics.jsonl", copy.rng
    try:
        lines = path.read_bytes().splitlines()
        number = rng.randrange(len(lines))
        row = json.loads(lines[number])
        key = rng.choice([*row, *(["steps", "episode_return", "evaluation_return"] * 4), "x"])
        row[key] = "@"
    except (ValueError, TypeError, OSError, RecursionError):
        return "nothing"
    raw = hostile_json(rng)
    other = rng.choice(("", " ", "[]", "1", "null", "{}", '{"steps": true}', "\ufeff{}", "\0", raw))
    whole = rng.random() < 0.2
    lines[number] = (other if whole else json.dumps(row).replace('"@"', raw)).encode()
    end = rng.choice((b"\n", b"\n", b"\r\n", b"\n\n", b"\r"))
    path.write_bytes(end.join(lines) + end)
    said = f"is {other[:40]!r}" if whole else f"has {key} {raw[:40]}"
    return f"metrics.jsonl: line {number + 1} {said} ({len(raw)} characters), lines end with {end!r}"
