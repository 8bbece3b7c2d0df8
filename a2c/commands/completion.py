"""`a2c completion SHELL`: what lets a shell complete verbs, flags and their values."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Literal

import tyro


@dataclasses.dataclass(frozen=True)
class Completion:
    """Print what makes a shell complete a2c's verbs, flags and their values.

    a2c completion bash > ~/.local/share/bash-completion/completions/a2c

    a2c completion zsh > _a2c, in a folder of $fpath
    """

    shell: Annotated[tyro.conf.Positional[Literal["bash", "zsh"]], tyro.conf.arg(metavar="SHELL")]
    """bash or zsh."""
