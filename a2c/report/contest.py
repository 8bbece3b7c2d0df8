"""Several groups of runs: what each reached, which is ahead, and of which others that can be told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from a2c.errors import UserError
from a2c.evaluation import shown_returns
from a2c.report.comparison import Comparison, compared, differing, percent, score_of
from a2c.report.statistics import LEVEL, Estimate, Scores, estimate_of_iqm, probability_of_improvement
from a2c.run.folder import Run
from a2c.run.policies import BestOrFinal


class Group(NamedTuple):
    """Runs that belong together, seeds of one setting as a rule."""

    name: str
    label: str
    """What it is, beyond its name."""
    runs: Sequence[Run]
    """Those that have a score."""
    left_out: Sequence[Run]
    """Those that have none yet."""
    scores: Mapping[str, Scores]
    """By environment, as `runs` are ordered."""
    iqm: Mapping[str, Estimate]
    """Interquartile means by environment."""

    @property
    def title(self) -> str:
        """Its name, and what it is."""
        return f"{self.name} ({self.label})" if self.label else self.name


class Contest(NamedTuple):
    """Groups on the same environments."""

    which: BestOrFinal
    groups: Sequence[Group]
    """Those with scores, in the order in which they were named."""
    leader: Group | None
    """The one that is ahead; None where there is none to compare with."""
    against: Sequence[tuple[Group, Comparison]]
    """The leader, as A, beside each of the others."""
    settings: Mapping[str, Sequence[str]]
    """What the groups differ in: the value of each."""

    @property
    def num_pairs(self) -> int:
        """How many pairs of groups there are."""
        return len(self.groups) * (len(self.groups) - 1) // 2

    def chance(self, comparison: Comparison) -> float:
        """How often chance alone does as much as in a comparison, in any of the pairs at most (Bonferroni).

        Who looks at many pairs finds one that looks good.
        """
        return min(1.0, comparison.chance * self.num_pairs)

    def is_told(self, comparison: Comparison) -> bool:
        """Whether chance is too seldom the reason."""
        return self.chance(comparison) < 1 - LEVEL

    def verdict(self) -> str:
        """Which is better, and how sure that is; "" where there is nothing to compare."""
        if self.leader is None:
            return ""
        if len(self.groups) == 2:
            ((other, comparison),) = self.against
            return comparison.verdict((self.leader.name, other.name))
        beaten = [(other, one) for other, one in self.against if self.is_told(one)]
        unsure = [(other, one) for other, one in self.against if not self.is_told(one)]
        begin = f"Of {len(self.groups)} groups, {self.leader.name} comes out highest"
        if not beaten:
            least = percent(min(self.chance(one) for _, one in unsure))
            return (
                f"{begin}, but these runs do not show that it is better than any other: chance alone would do as much "
                f"in {least} of cases or more."
            )
        most = percent(max(self.chance(one) for _, one in beaten))
        sure = f"better than {_listed([other.name for other, _ in beaten])}"
        open_ = f"; whether than {_listed([other.name for other, _ in unsure])}, cannot be told" if unsure else ""
        return f"{begin}: {sure} (chance alone does as much in {most} of cases or less){open_}."


def _listed(names: Sequence[str]) -> str:
    if len(names) > 8:
        return f"{', '.join(names[:6])} and {len(names) - 6} more"
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def group_of(name: str, label: str, runs: Sequence[Run], which: BestOrFinal) -> Group:
    """A group of runs with their scores; those without one are left out of these."""
    scored: list[Run] = []
    left_out: list[Run] = []
    found: dict[str, list[float]] = {}
    for run in runs:
        try:
            score = score_of(run, which)
        except UserError:
            left_out.append(run)
            continue
        scored.append(run)
        found.setdefault(run.config.env_id, []).append(score)
    scores = {env_id: np.array(values) for env_id, values in found.items()}
    rng = np.random.default_rng(0)
    return Group(name, label, scored, left_out, scores, {e: estimate_of_iqm(s, rng) for e, s in scores.items()})


def contest_of(groups: Sequence[Group], which: BestOrFinal) -> Contest:
    """Compares groups with the one that is ahead: whose interquartile means are highest, by mean rank.

    Raises:
        UserError: They are not on the same environments.
    """
    there = [group for group in groups if group.scores]
    if len(there) < 2:
        return Contest(which, there, None, [], {})
    env_ids = [env_id for env_id in there[0].scores if all(env_id in group.scores for group in there)]
    lone = {env_id for group in there for env_id in group.scores} - set(env_ids)
    if lone:
        raise UserError(f"not every group has a finished run on {min(lone)}; all must have the same environments")
    behind = [
        sum(sum(other.iqm[env_id].point > group.iqm[env_id].point for other in there) for env_id in env_ids)
        for group in there
    ]
    leader = there[int(np.argmin(behind))]
    against = [(other, compared((leader.runs, other.runs), which)) for other in there if other is not leader]
    return Contest(which, there, leader, against, differing([group.runs for group in there]))


def improvements(groups: Sequence[Group], env_id: str) -> list[list[float]]:
    """[k, k] the probability that a run of the row's group is above one of the column's."""
    return [
        [probability_of_improvement(ours.scores[env_id], theirs.scores[env_id]) for theirs in groups] for ours in groups
    ]


def in_a_sentence(group: Group, env_id: str) -> str:
    """What a group reached on an environment, and how sure that is."""
    scores, iqm = group.scores[env_id], group.iqm[env_id]
    point, low, high = shown_returns([iqm.point, iqm.low, iqm.high])
    if len(scores) == 1:
        return f"one run, which reached {point}: of how much seeds differ it says nothing"
    return f"{len(scores)} runs reach an interquartile mean of {point} (95 %: {low} to {high})"
