"""What came of `studies.original`, for the tutorial: tables and a picture, from the committed results.

python -m studies.original_page        the tables of docs/tutorial.md in every language, and docs/tutorial_original.svg
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from numpy.typing import NDArray

from a2c.report.statistics import Estimate, estimate_of_difference, estimate_of_iqm, interquartile_means
from benchmarks.markers import filled
from studies.notebook import notebooks
from studies.original import BIN, ENVIRONMENTS, SEEDS, VARIANTS, saved
from studies.tutorial_pictures import DOCS, STYLE, save

Floats = NDArray[np.float64]


class Words(NamedTuple):
    """What a table says in a language."""

    heads: tuple[str, ...]
    variants: dict[str, str]
    of: str
    """How many seeds of how many."""
    interval: str
    """A number, and from where to where it may be."""


ENGLISH = Words(
    (
        "solved by",
        "mean return of training, IQM (95 %)",
        "less than corrected by",
        "last policy, sampled",
        "last policy, greedy",
        "V at the end",
    ),
    {
        "corrected": "the corrected program",
        "mixed environments": "1, environments are mixed",
        "squashed entropy": "2, the entropy of something else",
        "limits as deaths": "3, time limits are deaths",
        "squashed actions": "4, actions from something else",
        "the first three": "1, 2 and 3: the original",
        "all four": "all four: the original in today's Paddle",
    },
    "{} of {} seeds",
    "{} ({} to {})",
)
CHINESE = Words(
    (
        "解决任务的种子",
        "训练期间的平均回报，IQM（95 %）",
        "比修正后的少",
        "最终策略，采样",
        "最终策略，贪心",
        "训练结束时的 V",
    ),
    {
        "corrected": "修正后的程序",
        "mixed environments": "1，环境混在一起",
        "squashed entropy": "2，别的分布的熵",
        "limits as deaths": "3，时间上限当成死亡",
        "squashed actions": "4，动作采自别的分布",
        "the first three": "1、2、3 同时：原程序",
        "all four": "四项同时：今天的 Paddle",
    },
    "{} / {}",
    "{} ({}\u00a0到\u00a0{})",
)
TITLES = {
    "mixed environments": "1, mixed environments",
    "squashed entropy": "2, squashed entropy",
    "limits as deaths": "3, limits as deaths",
    "squashed actions": "4, squashed actions",
    "the first three": "1, 2 and 3",
    "all four": "all four",
}
"""Of the panels of the picture, which is the same in every language."""
LANGUAGES = {"tutorial.md": ENGLISH, "tutorial.zh.md": CHINESE}


class Measured(NamedTuple):
    """A variant in an environment, seed by seed."""

    solved: int
    training: Floats  # [seeds] mean return of training episodes, every stretch of steps counting alike
    sampled: Floats  # [seeds]
    greedy: Floats  # [seeds]
    value: Floats  # [seeds]
    curve: Floats  # [seeds, bins], NaN where no episode ended


def measured(env_id: str, variant: str) -> Measured:
    """The committed results.

    Raises:
        SystemExit: Seeds are missing.
    """
    rows: list[Any] = [row for row in saved() if (row["env"], row["variant"]) == (env_id, variant)]
    if len(rows) != len(SEEDS):
        raise SystemExit(f"{env_id}, {variant}: {len(rows)} seeds of {len(SEEDS)}; python -m studies.original")
    curve = np.array([[np.nan if one is None else one for one in row["curve"]] for row in rows], np.float64)
    columns = [np.array([row[name] for row in rows], np.float64) for name in ("sampled", "greedy", "value")]
    return Measured(sum(row["solved_after"] is not None for row in rows), np.nanmean(curve, 1), *columns, curve)


def table(env_id: str, words: Words) -> str:
    """A table of an environment, as Markdown."""
    corrected = measured(env_id, "corrected")
    lines = [f"| {env_id} | {' | '.join(words.heads)} |", "|---" * (len(words.heads) + 1) + "|"]
    for variant in VARIANTS:
        found = measured(env_id, variant)
        rng = np.random.default_rng(0)
        less = ""
        if variant != "corrected":
            less = _shown(estimate_of_difference(corrected.training, found.training, rng), words)
        cells = [
            words.of.format(found.solved, len(SEEDS)),
            _shown(estimate_of_iqm(found.training, rng), words),
            less,
            *(_shown(estimate_of_iqm(each, rng), words) for each in (found.sampled, found.greedy, found.value)),
        ]
        lines.append(f"| {words.variants[variant]} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _shown(estimate: Estimate, words: Words) -> str:
    # -0 is 0.
    return words.interval.format(*(round(number) + 0 for number in estimate))


def with_tables(text: str, page: Path) -> str:
    """The text of a page with its tables as the results have them."""
    words = LANGUAGES[page.name]
    return filled(text, {"original": lambda: "\n\n".join(table(env_id, words) for env_id in ENVIRONMENTS)}, page)


def draw(path: Path) -> None:
    """Learning curves on the original's environment: the corrected program, and beside it each fault."""
    plt.rcParams.update(STYLE | {"figure.figsize": (5.2, 6.6), "font.size": 11, "axes.titlesize": 11})
    env_id = next(iter(ENVIRONMENTS))
    figure, axes = plt.subplots(len(TITLES) // 2, 2, sharex=True, sharey=True, layout="constrained")
    for axis, (variant, title) in zip(axes.flat, TITLES.items(), strict=True):
        for name, color in (("corrected", "#8a8f98"), (variant, "#b0413e")):
            curve = measured(env_id, name).curve
            point, low, high = interquartile_means(curve)
            steps = (np.arange(curve.shape[1]) + 0.5) * BIN / 1000
            axis.fill_between(steps, low, high, color=color, alpha=0.2, linewidth=0)
            axis.plot(steps, point, color=color)
        axis.set_title(title)
    for axis in axes[-1]:
        axis.set_xlabel("thousand steps")
    figure.suptitle(f"{env_id}: return, gray where corrected", fontsize=11, x=0.01, ha="left")
    save(figure, path)


def main() -> int:
    for page in notebooks():
        page.write_text(with_tables(page.read_text(encoding="utf-8"), page), encoding="utf-8")
        print(page.name)
    draw(DOCS / "tutorial_original.svg")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
