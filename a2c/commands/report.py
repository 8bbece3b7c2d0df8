"""`a2c report RUN...`: what runs reached and how sure that is, as one HTML file."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from a2c import files
from a2c.errors import UserError
from a2c.output import print_json
from a2c.report.folders import groups_in
from a2c.run.folder import Run
from a2c.run.policies import BestOrFinal

if TYPE_CHECKING:
    from a2c.report.document import Page


@dataclasses.dataclass(frozen=True)
class Report:
    """Write one HTML file about a run, or about groups of them: what was reached, and how sure that is."""

    folders: Annotated[tyro.conf.Positional[tuple[str, ...]], tyro.conf.arg(metavar="RUN... [-- RUN...]")]
    """The runs' folders, or folders of runs; with -- between them groups, else seeds of one setting are a group."""
    to: str | None = None
    """Where to. By default report.html in the run, or report.html here."""
    which: BestOrFinal = "final"
    """Compare groups by their final policies, or by the best by evaluation during training."""
    video: bool = True
    """Put the run's video.gif or video.mp4 in the file, where there is one."""
    json: bool = False
    """Print one JSON object: where the report is, and what it says."""

    def run(self) -> int:
        """Returns the exit code."""
        groups = groups_in(self.folders, "report")
        runs = [run for group in groups.values() for run in group]
        by_default = runs[0].path / "report.html" if len(runs) == 1 else Path("report.html")
        path = Path(self.to).expanduser() if self.to else by_default
        page, found = read(groups, self.which, self.video)
        write(page, path)
        if self.json:
            print_json({"report": str(path), "headline": page.headline, **found})
        else:
            print(path)
        return 0


def read(groups: Mapping[str, Sequence[Run]], which: BestOrFinal, with_video: bool) -> tuple[Page, dict[str, Any]]:
    """The report of one run, or of groups of them: as a page, and as JSON.

    Args:
        groups: The runs, by the name of their group; "" is the name of the only one.
        which: What groups are compared by.
        with_video: Whether a run's video is put into it.

    Raises:
        UserError: The groups cannot be compared.
    """
    from a2c.report import findings, one_run, several_runs  # Here: other verbs begin without them.
    from a2c.report.facts import facts_of

    runs = [run for group in groups.values() for run in group]
    if len(runs) == 1:
        facts = facts_of(runs[0])
        return one_run.page_of(facts, with_video), one_run.to_json(facts)
    found = findings.findings_of(groups, which)
    return several_runs.page_of(found), findings.to_json(found)


def write(page: Page, path: Path) -> Path:
    """Writes a page as an HTML file; returns where.

    Raises:
        UserError: It cannot be written.
    """
    from a2c.report.document import to_html  # Here: as above.

    if path.is_dir():
        raise UserError(f"cannot write the report {path}, which is a folder; name a file in it that ends in .html")
    try:
        files.write_bytes(path, to_html(page).encode())
    except UserError as error:
        raise UserError(f"cannot write the report {path}: {error}") from error
    return path


def write_report(run: Run, path: Path) -> Path:
    """Writes the report of one run; returns where.

    Raises:
        UserError: It cannot be written.
    """
    page, _ = read({"": [run]}, "final", with_video=True)
    return write(page, path)
