"""`a2c export RUN --to FORMAT`: writes the policy in a format for use elsewhere."""

from __future__ import annotations

import dataclasses
import importlib
import io
import os
import textwrap
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from a2c import files
from a2c.errors import UserError
from a2c.output import print_json
from a2c.policy import Policy
from a2c.run.folder import Run, settled
from a2c.run.policies import Which

Format = Literal["onnx", "c", "html", "numpy", "paddle", "pdparams"]

_OF_PADDLE = ("paddle", "pdparams")
"""Formats that have a layer of the user's own."""

_ENDINGS: dict[Format, str] = {
    "onnx": ".onnx",
    "c": ".c",
    "html": ".html",
    "numpy": ".py",
    "paddle": ".json",
    "pdparams": ".pdparams",
}


@dataclasses.dataclass(frozen=True)
class Export:
    """Export a run's policy for use elsewhere."""

    folder: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="RUN")]
    """The run's folder."""
    to: Format
    """onnx: a model for onnxruntime. c: one file of C99. html: a page that plays the policy. numpy: one file of Python
    that needs only NumPy. paddle: an inference model of PaddlePaddle. pdparams: parameters for PaddlePaddle, to load
    into a2c.exports.layer.ActorCritic."""
    out: str | None = None
    """The file to write; by default policy.onnx, policy.c and so on in the run's folder."""
    which: Which = "best"
    """The best policy by evaluation during training, the final one, or the one saved after so many steps."""
    network: str | None = None
    """The run's own network, module:Class: import it; needed if somebody else trained it."""
    masks: bool = True
    """Let the caller say which actions are allowed. --no-masks leaves that out: all actions are allowed."""
    json: bool = False
    """Print one JSON object: the files."""

    def run(self) -> int:
        """Returns the exit code."""
        run = Run(self.folder, self.network)
        path = settled(self.out) if self.out else run.path / f"policy{_ENDINGS[self.to]}"
        written = export(run.policy(self.which), self.to, path, self.masks)
        if self.json:
            names = [str(name) for name in written]
            print_json({"run": self.folder, "which": self.which, "to": self.to, "files": names})
        else:
            print(*written, sep="\n")
        return 0


def export(policy: Policy, to: Format, path: Path, masks: bool = True) -> list[Path]:
    """Writes a policy in a format.

    Args:
        policy: The policy.
        to: The format.
        path: The file. For Paddle's model it is the program's (.json), with the parameters beside it (.pdiparams).
        masks: Whether callers can say which actions are allowed.

    Returns:
        The files that were written.

    Raises:
        UserError: The file cannot be written, the format cannot express the policy, or a package is not installed.
    """
    own = policy.architecture.own
    if own is not None and to not in _OF_PADDLE:
        raise UserError(
            f"--to {to} has no layers but ours, and this policy goes through {own.name}; --to paddle and --to pdparams "
            "have it"
        )
    if to == "pdparams":
        write_pdparams(policy, path)
        return [path]
    from a2c.exports.description import description_of, without_masks

    description = description_of(policy)
    if not masks:
        description = without_masks(description)
    match to:
        case "onnx":
            onnx_model = _imported("onnx_model", to, "onnx")
            contents = {path: onnx_model.model_of(description).SerializeToString()}
        case "paddle":
            # Paddle reads it when it is imported; without it, Paddle warns of its own functions for every program.
            os.environ.setdefault("GLOG_minloglevel", "2")
            paddle_model = _imported("paddle_model", to, "PaddlePaddle", "paddle")
            try:
                found = paddle_model.files_of(description, path.name.removesuffix(".json"))
            except Exception as error:  # Whatever Paddle raises where it makes a program of a layer of the user's own.
                if own is None:
                    raise
                said = textwrap.shorten((str(error).strip().splitlines() or [""])[-1], 200)
                raise UserError(
                    f"Paddle makes no program of {own.name} ({type(error).__name__}: {said}); what it does must not "
                    "depend on the values or the number of rows"
                ) from error
            contents = {path.parent / name: data for name, data in found.items()}
        case "c":
            from a2c.exports.c import source_of

            contents = {path: source_of(description).encode()}
        case "numpy":
            from a2c.exports import python_file

            text = python_file.source_of(description, policy.observation_space, policy.action_space)
            contents = {path: text.encode()}
        case "html":
            from a2c.exports.html import page_of

            contents = {path: page_of(description).encode()}
    for where, data in contents.items():
        _write(where, data)
    return list(contents)


def _imported(name: str, to: Format, package: str, extra: str = "") -> Any:
    """A module of `a2c.exports` that needs an optional package.

    Raises:
        UserError: The package is not installed.
    """
    try:
        return importlib.import_module(f"a2c.exports.{name}")
    except ModuleNotFoundError as error:
        raise UserError(
            f"--to {to} needs {package}, which is not installed; pip install 'a2c[{extra or package}]'"
        ) from error


def write_pdparams(policy: Policy, path: Path) -> None:
    """Writes the parameters as `paddle.save` does: a pickle, which a2c writes for Paddle's users but never reads.

    Raises:
        UserError: The file cannot be written, Paddle is not installed, or the policy has convolutions or memory.
    """
    layer = _imported("layer", "pdparams", "PaddlePaddle", "paddle")
    if policy.architecture.num_image_features:
        raise UserError("--to pdparams cannot hold the convolutions of this policy; --to paddle can")
    if policy.architecture.memory_size:
        raise UserError("--to pdparams cannot hold the recurrent unit of this policy; --to paddle can")
    network = layer.ActorCritic(policy.architecture)
    network.set_state_dict(policy.parameters)
    data = io.BytesIO()
    layer.paddle.save(network.state_dict(), data)
    _write(path, data.getvalue())


def _write(path: Path, data: bytes) -> None:
    if path.is_dir():
        raise UserError(f"cannot write {path}: it is a folder; --out takes a file")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}") from error
    files.write_bytes(path, data)
