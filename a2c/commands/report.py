"""`a2c report RUN...`: writes one HTML file about runs: their scores, and how sure these are."""

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
    """Write one HTML file about a run, or about groups of runs: their scores, and how sure these are."""

    folders: Annotated[tyro.conf.Positional[tuple[str, ...]], tyro.conf.arg(metavar="RUN... [-- RUN...]")]
    """Run folders, or folders of runs. -- separates groups; without it, the seeds of one setting are a group."""
    to: str | None = None
    """The file to write. By default report.html in the run's folder; of several runs, in this folder."""
    which: BestOrFinal = "final"
    """Which policies' scores count: the final ones, or the best by evaluation during training."""
    video: bool = True
    """Put the run's video.gif or video.mp4 into the file, if there is one."""
    json: bool = False
    """Print one JSON object: the path of the report, and its figures."""

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
    """The report of one run, or of groups of runs: as a page, and as JSON.

    Args:
        groups: The runs by group; a single group is called "".
        which: Which policies' scores count.
        with_video: Whether to put a run's video into it.

    Raises:
        UserError: The groups cannot be compared.
    """
    from a2c.report import findings, one_run, several_runs  # Not at the top: other verbs start faster without them.
    from a2c.report.facts import facts_of

    runs = [run for group in groups.values() for run in group]
    if len(runs) == 1:
        facts = facts_of(runs[0])
        return one_run.page_of(facts, with_video), one_run.to_json(facts)
    found = findings.findings_of(groups, which)
    return several_runs.page_of(found), findings.to_json(found)


def write(page: Page, path: Path) -> Path:
    """Writes a page as an HTML file; returns its path.

    Raises:
        UserError: It cannot be written.
    """
    from a2c.report.document import to_html  # As in `read`.

    if path.is_dir():
        raise UserError(f"cannot write the report {path}: it is a folder; name a file that ends in .html")
    try:
        files.write_bytes(path, to_html(page).encode())
    except UserError as error:
        raise UserError(f"cannot write the report {path}: {error}") from error
    return path


def write_report(run: Run, path: Path) -> Path:
    """Writes the report of one run; returns its path.

    Raises:
        UserError: It cannot be written.
    """
    page, _ = read({"": [run]}, "final", with_video=True)
    return write(page, path)
