"""The command line: a verb and its flags -> one call."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import Annotated, Any, TypeVar

import tyro

import a2c
from a2c.commands.benchmark import Benchmark
from a2c.commands.evaluate import Evaluate
from a2c.commands.export import Export
from a2c.commands.plot import Plot
from a2c.commands.record import Record
from a2c.commands.replay import Replay
from a2c.commands.resume import Resume
from a2c.commands.train import Train
from a2c.commands.watch import Watch
from a2c.config import Config
from a2c.errors import EnvError, UserError, WorkerError, plain

T = TypeVar("T")

_Verb = (
    Annotated[Train, tyro.conf.subcommand("train")]
    | Annotated[Resume, tyro.conf.subcommand("resume")]
    | Annotated[Evaluate, tyro.conf.subcommand("evaluate")]
    | Annotated[Watch, tyro.conf.subcommand("watch")]
    | Annotated[Record, tyro.conf.subcommand("record")]
    | Annotated[Plot, tyro.conf.subcommand("plot")]
    | Annotated[Export, tyro.conf.subcommand("export")]
    | Annotated[Replay, tyro.conf.subcommand("replay")]
    | Annotated[Benchmark, tyro.conf.subcommand("benchmark")]
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command line and returns its exit code: 0, 2 for what the user can mend, 1 for an environment's error.

    Args:
        arguments: What follows `a2c`; None: those of this process.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    warnings.showwarning = _print_warning  # type: ignore[assignment]  # takes the rest of the arguments as they come
    if words == ["--version"]:
        print(a2c.__version__)
        return 0
    try:
        _refuse_fixed_settings(words)
        verb: Any = _parse(lambda: tyro.cli(_Verb, prog="a2c", args=words, description=_DESCRIPTION))
        if isinstance(verb, Train | Benchmark):
            kind, defaults = type(verb), verb.with_preset()
            verb = _parse(lambda: tyro.cli(kind, prog=f"a2c {words[0]}", args=words[1:], default=defaults))
        code = int(verb.run())
        sys.stdout.flush()
        return code
    except UserError as error:
        print(f"a2c: {error}", file=sys.stderr)
        return 2
    except (EnvError, WorkerError) as error:
        print(f"a2c: {error}", file=sys.stderr)
        return 1
    except MemoryError as error:
        print(f"a2c: there is not enough memory for this: {error or 'make it smaller'}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        # Whoever read our output has gone, as in `a2c ... | head -1`. Python would complain again when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141


def _refuse_fixed_settings(words: Sequence[str]) -> None:
    """Refuses settings that `a2c resume` does not take; for the parser they would be flags of another verb.

    Raises:
        UserError: There is one.
    """
    if words[:1] == ["resume"]:
        allowed = {field.name for field in dataclasses.fields(Resume)}
        fixed = {field.name for field in dataclasses.fields(Config)} - allowed
        for word in words:
            name = word.removeprefix("--").partition("=")[0].replace("-", "_").removeprefix("no_")
            if word.startswith("--") and name in fixed:
                raise UserError(f"{name} cannot change within a run; train a new one with it")


_DESCRIPTION = "Advantage Actor-Critic for any Gymnasium environment."


def _parse(parse: Callable[[], T]) -> T:
    """Parses; what tyro says of a mistake in a box becomes one sentence."""
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            return parse()
    except SystemExit as end:
        if end.code:
            raise UserError(_sentence(said.getvalue())) from end
        raise


def _sentence(box: str) -> str:
    """The text of tyro's box, drawn with lines or (where the terminal's encoding has none) with hyphens.

    Below the title it has sections: what was wrong, what was perhaps meant, where to read more.
    """
    sections: list[list[str]] = [[]]
    for line in box.splitlines():
        text = line.strip("│ ")
        if set(text) in ({"─"}, {"-"}):
            sections.append([])
        elif text and text[0] not in "╭╰":
            sections[-1].append(text)
    if "╭" not in box:
        del sections[0]  # Without lines the title is a section of its own.
    hints = [section for section in sections[1:] if section and not section[0].startswith(("Argument", "For full"))]
    flags = [[line for line in section[1:] if line.startswith("--")] for section in hints]
    texts = [f"{h[0]} {', '.join(f)}" if f else " ".join(h) for h, f in zip(hints, flags, strict=True)]
    # What is missing is followed by its help, which is long; anything else is wrapped text.
    wrong = sections[0][:2] if sections[0][0].startswith("Missing") else sections[0]
    return "; ".join([" ".join(wrong), *texts])


def _print_warning(message: Warning | str, *_: Any) -> None:
    with contextlib.suppress(OSError):  # That nobody can read it is no reason to end.
        print(f"a2c: {plain(str(message))}", file=sys.stderr)
