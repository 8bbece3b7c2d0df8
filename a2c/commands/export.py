"""`a2c export RUN --to FORMAT`: the policy for use elsewhere."""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path
from typing import Annotated, Literal

import tyro

from a2c import files
from a2c.errors import UserError
from a2c.policy import Policy
from a2c.run.folder import Run
from a2c.run.policies import Which


@dataclasses.dataclass(frozen=True)
class Export:
    """Export a run's policy for use elsewhere."""

    folder: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="RUN")]
    """The run's folder."""
    to: Literal["pdparams"]
    """pdparams: parameters for PaddlePaddle, to be loaded into a2c.exports.layer.ActorCritic."""
    out: str | None = None
    """Where to; by default policy.pdparams in the run."""
    which: Which = "best"
    """The best policy by evaluation during training, the final one, or the one kept after so many steps."""

    def run(self) -> int:
        """Returns the exit code."""
        run = Run(self.folder)
        path = Path(self.out) if self.out else run.path / "policy.pdparams"
        write_pdparams(run.policy(self.which), path)
        print(path)
        return 0


def write_pdparams(policy: Policy, path: Path) -> None:
    """Writes the parameters as `paddle.save` does: a pickle, which we write and never read.

    Raises:
        UserError: The file cannot be written, Paddle is not installed, or the policy has convolutions or memory.
    """
    try:
        from a2c.exports.layer import ActorCritic, paddle
    except ModuleNotFoundError as error:
        raise UserError(
            "--to pdparams needs PaddlePaddle, which is not installed; pip install 'a2c[paddle]'"
        ) from error

    if policy.architecture.images:
        raise UserError("--to pdparams has no convolutions; this policy sees images through them")
    if policy.architecture.memory_size:
        raise UserError("--to pdparams has no recurrent unit; this policy has memory")
    network = ActorCritic(policy.architecture)
    network.set_state_dict(policy.parameters)
    data = io.BytesIO()
    paddle.save(network.state_dict(), data)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}") from error
    files.write_bytes(path, data.getvalue())
