"""The command line: a verb and its flags -> one call."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import io
import os
import sys
import typing
import warnings
from collections.abc import Callable, Sequence
from typing import Annotated, Any, TypeVar

import gymnasium
import tyro

from a2c.commands.benchmark import Benchmark
from a2c.commands.board import Board
from a2c.commands.compare import Compare
from a2c.commands.completion import Completion
from a2c.commands.evaluate import Evaluate
from a2c.commands.export import Export
from a2c.commands.groups import registry
from a2c.commands.plot import Plot
from a2c.commands.record import Record
from a2c.commands.replay import Replay
from a2c.commands.report import Report
from a2c.commands.resume import Resume
from a2c.commands.train import Train
from a2c.commands.tune import Tune
from a2c.commands.watch import Watch
from a2c.config import Config
from a2c.errors import REPORTED, UserError, exit_of, plain
from a2c.output import reserved_for_json
from a2c.report.folders import AGAINST
from a2c.version import __version__
from a2c.words import VERBS, as_meant, elsewhere, flag

T = TypeVar("T")

_VERBS = {
    "train": Train,
    "resume": Resume,
    "evaluate": Evaluate,
    "watch": Watch,
    "record": Record,
    "plot": Plot,
    "report": Report,
    "compare": Compare,
    "tune": Tune,
    "board": Board,
    "export": Export,
    "replay": Replay,
    "benchmark": Benchmark,
    "completion": Completion,
}
_WITH_PRESET: dict[str, Any] = {"train": Train, "tune": Tune, "benchmark": Benchmark}
"""The verbs that take every setting. They are parsed twice: the first time tells the preset, whose settings are then
the defaults."""
_Verb: Any = typing.Union[tuple(Annotated[kind, tyro.conf.subcommand(name)] for name, kind in _VERBS.items())]  # noqa: UP007 - of a table


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command line and returns its exit code: 0, 2 for an error that the user can mend, 1 for an environment's.

    Args:
        arguments: The words after `a2c`; None: those of this process.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    warnings.showwarning = _print_warning  # type: ignore[assignment]  # takes the rest of the arguments as they come
    if words == ["--version"]:
        print(__version__)
        return 0
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())  # For `module:Id`. Last, so that installed packages go before files here.
    try:
        _refuse_fixed_settings(words)
        if words[:1] == ["help"]:
            words = [*words[1:2], "--help"]
        if words[:1] in (["compare"], ["plot"], ["report"]):  # The parser would swallow the --.
            words = [AGAINST if word == "--" else word for word in words]
        words = as_meant(words, _annotations(words[0] if words else ""))
        asks_help = [word for word in words if word in ("-h", "--help")]
        if len(words) > 2 and words[0] in _WITH_PRESET and asks_help and not words[1].startswith("-"):
            # The first parse finds the preset; --help then shows its values, in the second.
            words = [word for word in words if word not in asks_help]
        else:
            asks_help = []
        parse = functools.partial(tyro.cli, registry=registry)
        verb: Any = _parse(lambda: parse(_Verb, prog="a2c", args=words, description=_DESCRIPTION))
        if type(verb) in _WITH_PRESET.values():
            kind, defaults = type(verb), verb.with_preset({_named(word) for word in words if word.startswith("--")})
            arguments = [*words[1:], *asks_help]
            verb = _parse(lambda: parse(kind, prog=f"a2c {words[0]}", args=arguments, default=defaults))
        if isinstance(verb, Completion):  # Only the parser can do this one.
            with contextlib.suppress(SystemExit):
                parse(_Verb, prog="a2c", args=["--tyro-print-completion", verb.shell])
            return 0
        with reserved_for_json() if getattr(verb, "json", False) else contextlib.nullcontext():
            code = int(verb.run())
        sys.stdout.flush()
        return code
    except REPORTED as error:
        sentence, code = exit_of(error)
        print(f"a2c: {sentence}", file=sys.stderr)
        return code


def _refuse_fixed_settings(words: Sequence[str]) -> None:
    """Refuses words that the parser could not explain: names from other libraries, and settings fixed within a run.

    Raises:
        UserError: There is such a word.
    """
    if words and words[0] in VERBS:
        raise UserError(f"there is no verb {words[0]!r}; here it is {VERBS[words[0]]!r}")
    if words and (words[0] in gymnasium.registry or ":" in words[0]):
        raise UserError(f"{words[0]!r} is not a verb; to train on it, type a2c train {words[0]}")
    kinds = (Config, _WITH_PRESET[words[0]]) if words and words[0] in _WITH_PRESET else ()
    names = {field.name for kind in kinds for field in dataclasses.fields(kind)}
    for word in words if kinds else ():
        name = _named(word)
        hint = elsewhere(name, flag) if word.startswith("--") and name not in names else None
        if hint is not None:
            raise UserError(hint)
    if words[:1] == ["resume"]:
        allowed = {field.name for field in dataclasses.fields(Resume)}
        fixed = {field.name for field in dataclasses.fields(Config)} - allowed
        for word in words:
            name = _named(word).removeprefix("no_")
            if word.startswith("--") and name in fixed:
                raise UserError(f"{name} cannot change within a run; train a new one with it")


def _named(word: str) -> str:
    """The field that a flag names."""
    return word.removeprefix("--").partition("=")[0].replace("-", "_")


def _annotations(verb: str) -> dict[str, Any]:
    """The type of each of a verb's flags, by its field."""
    hints = typing.get_type_hints(_VERBS[verb]) if verb in _VERBS else {}
    if hints.pop("config", None) is Config:
        hints |= typing.get_type_hints(Config)
    return {name: kind for name, kind in hints.items() if name not in ("folder", "folders", "env_id")}


_DESCRIPTION = "Advantage Actor-Critic for any Gymnasium environment."


def _parse(parse: Callable[[], T]) -> T:
    """Parses; turns the box in which tyro explains a mistake into one sentence."""
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            return parse()
    except SystemExit as end:
        if end.code:
            raise UserError(_sentence(said.getvalue())) from end
        raise


def _sentence(box: str) -> str:
    """The text of tyro's box as one sentence.

    The box is drawn with lines or, if the terminal's encoding has none, with hyphens. Below its title it has sections:
    what was wrong, what was perhaps meant, where to read more.
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
    # A missing argument is followed by its help, which is long; other sections are wrapped text.
    wrong = sections[0][:2] if sections[0][0].startswith("Missing") else sections[0]
    return "; ".join([" ".join(wrong), *texts])


def _print_warning(message: Warning | str, *_: Any) -> None:
    with contextlib.suppress(OSError):  # A closed standard error is no reason to end.
        print(f"a2c: {plain(str(message))}", file=sys.stderr)
