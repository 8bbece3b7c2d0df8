"""Compares several groups of runs: the score of each, which is ahead, and whether that could be chance."""

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
    """Runs that belong together, usually the seeds of one setting."""

    name: str
    label: str
    """What distinguishes it, such as "gamma 0.9"."""
    runs: Sequence[Run]
    """The runs that have a score."""
    left_out: Sequence[Run]
    """The runs that have none yet."""
    scores: Mapping[str, Scores]
    """By environment, in the order of `runs`."""
    iqm: Mapping[str, Estimate]
    """Interquartile means by environment."""

    @property
    def title(self) -> str:
        """Its name and its label."""
        return f"{self.name} ({self.label})" if self.label else self.name


class Contest(NamedTuple):
    """Groups on the same environments."""

    which: BestOrFinal
    groups: Sequence[Group]
    """The groups with scores, in the order in which they were named."""
    leader: Group | None
    """The group that is ahead; None if there are not two to compare."""
    against: Sequence[tuple[Group, Comparison]]
    """The other groups, each with the comparison of the leader (A) with it (B)."""
    settings: Mapping[str, Sequence[str]]
    """The settings that differ, with the value in each group."""

    @property
    def num_pairs(self) -> int:
        """The number of pairs of groups."""
        return len(self.groups) * (len(self.groups) - 1) // 2

    def chance(self, comparison: Comparison) -> float:
        """A comparison's chance times the number of pairs (Bonferroni), because among many pairs one looks good."""
        return min(1.0, comparison.chance * self.num_pairs)

    def is_sure(self, comparison: Comparison) -> bool:
        """Whether chance alone gives such a difference in fewer than 5 % of cases."""
        return self.chance(comparison) < 1 - LEVEL

    def verdict(self) -> str:
        """A sentence that says which group is better and how sure that is; "" if there is nothing to compare."""
        if self.leader is None:
            return ""
        if len(self.groups) == 2:
            ((other, comparison),) = self.against
            return comparison.verdict((self.leader.name, other.name))
        beaten = [(other, one) for other, one in self.against if self.is_sure(one)]
        unsure = [(other, one) for other, one in self.against if not self.is_sure(one)]
        begin = f"Of {len(self.groups)} groups, {self.leader.name} comes out highest"
        if not beaten:
            least = percent(min(self.chance(one) for _, one in unsure))
            return (
                f"{begin}, but these runs do not show that it is better than any other: the smallest probability that "
                f"chance alone does as much is {least}."
            )
        most = percent(max(self.chance(one) for _, one in beaten))
        sure = f"it is better than {_listed([other.name for other, _ in beaten])}"
        open_ = f"; these runs do not show whether it is better than {_listed([o.name for o, _ in unsure])}"
        by_chance = f"the largest probability that chance alone does as much is {most}"
        return f"{begin}: {sure} ({by_chance}){open_ if unsure else ''}."


def _listed(names: Sequence[str]) -> str:
    if len(names) > 8:
        return f"{', '.join(names[:6])} and {len(names) - 6} more"
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def group_of(name: str, label: str, runs: Sequence[Run], which: BestOrFinal) -> Group:
    """Makes a group of runs and their scores; runs without a score go to `left_out`."""
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
    """Compares the leading group with every other.

    The leader is the group whose interquartile means rank highest, on average over environments.

    Raises:
        UserError: The groups are not on the same environments.
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
    """A sentence with the score of a group on an environment, and its interval."""
    scores, iqm = group.scores[env_id], group.iqm[env_id]
    point, low, high = shown_returns([iqm.point, iqm.low, iqm.high])
    if len(scores) == 1:
        return f"one run, which reached {point}; it does not show how much seeds differ"
    return f"{len(scores)} runs reach an interquartile mean of {point} (95 %: {low} to {high})"
