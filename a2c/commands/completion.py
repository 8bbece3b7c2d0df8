"""`a2c completion SHELL`: prints the script with which a shell completes verbs, flags and their values."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Literal

import tyro


@dataclasses.dataclass(frozen=True)
class Completion:
    """Print the script with which a shell completes a2c's verbs, flags and their values.

    a2c completion bash > ~/.local/share/bash-completion/completions/a2c

    a2c completion zsh > _a2c, in a folder of $fpath
    """

    shell: Annotated[tyro.conf.Positional[Literal["bash", "zsh"]], tyro.conf.arg(metavar="SHELL")]
    """bash or zsh."""
