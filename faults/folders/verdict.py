"""What may come of using a folder, and what is a finding."""

from __future__ import annotations

import contextlib
import signal
import traceback
import types
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

SECONDS = 10.0
"""What takes longer hangs."""

WARNINGS = (
    "skipped a newer checkpoint: ",
    "has no checkpoint yet; it starts from step 0",
    " does not replay: ",
    "rows before it are lost",
    "was missing; it was restored from the newest checkpoint",
    "the bounds of this environment's observations are not those",
)
"""Those that are meant."""

LONGEST_SENTENCE = 2_000


class Finding(NamedTuple):
    """Something that was neither success nor a UserError."""

    number: int
    mutation: str
    use: str
    fault: str

    def __str__(self) -> str:
        return f"{self.use}: {self.fault}\n    --only {self.number}: {self.mutation}"

    @property
    def kind(self) -> tuple[str, str, str]:
        """What findings with the same cause have in common."""
        return self.use, self.fault.partition(":")[0], self.fault.rpartition("(")[2] if self.fault[-1] == ")" else ""


class Hung(BaseException):
    """It took too long."""


class Enough(BaseException):
    """Training would go on from here."""


class WrongError(Exception):
    """What came of it is not allowed."""


def unlike_a_sentence(text: str) -> str:
    """What is wrong with the text of a UserError, if anything."""
    if not text.isprintable():
        return f"UserError not printable: {text[:300]!r}"
    return f"UserError too long: {len(text):,} characters, {text[:100]}..." if len(text) > LONGEST_SENTENCE else ""


@contextlib.contextmanager
def limit() -> Iterator[None]:
    """Raises Hung where the block takes too long."""

    def give_up(number: int, frame: types.FrameType | None) -> None:
        raise Hung(f"more than {SECONDS:g} s")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def in_a_line(error: BaseException) -> str:
    """An exception, and the last line of a2c that it passed."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "/a2c/" in frame.filename]
    where = f" ({frames[-1].filename.rpartition('/a2c/')[2]}:{frames[-1].lineno})" if frames else ""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:200]}{where}"


def ours(warning: warnings.WarningMessage) -> str:
    return f"{'/'.join(Path(warning.filename).parts[-2:])}:{warning.lineno}"
