"""Compares two groups of runs: their scores, which is better and how sure that is, and which settings differ."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from a2c.errors import UserError, shown
from a2c.report.curves import LEFT_OUT, printable, settings_of
from a2c.report.lines import LARGEST
from a2c.report.settings import value_in_words
from a2c.report.statistics import (
    LEVEL,
    Estimate,
    Scores,
    chance_of_as_much,
    estimate_of_difference,
    estimate_of_improvement,
    estimate_of_iqm,
)
from a2c.run.folder import Run
from a2c.run.policies import BestOrFinal

NAMES = ("A", "B")

_SUMMARIES: dict[BestOrFinal, str] = {"best": "evaluation", "final": "final_evaluation"}


class Side(NamedTuple):
    """The scores of one group on an environment."""

    scores: Scores
    """[n] the mean return of each run's last evaluation, in the order of the runs."""
    iqm: Estimate


class Environment(NamedTuple):
    """Both groups on one environment."""

    sides: tuple[Side, Side]
    difference: Estimate
    """Of interquartile means, A's less B's."""
    improvement: Estimate
    """Probability that a run of A is above one of B."""


class Comparison(NamedTuple):
    """A compared with B."""

    which: BestOrFinal
    environments: Mapping[str, Environment]
    improvement: Estimate
    """Mean over environments."""
    chance: float
    """The p-value of a permutation test: how often chance alone gives a difference as large."""
    settings: Mapping[str, tuple[str, str]]
    """The settings that differ: the values of A's runs and of B's."""

    @property
    def is_sure(self) -> bool:
        """Whether chance alone gives such a difference in fewer than 5 % of cases."""
        return self.chance < 1 - LEVEL

    def verdict(self, names: tuple[str, str] = NAMES) -> str:
        """A sentence that says which group is better, by name, and how sure that is."""
        low, high = _probability(self.improvement.low), _probability(self.improvement.high)
        (better, worse), probability = names, self.improvement.point
        if probability < 0.5:
            (worse, better), probability = names, 1 - probability
            low, high = _probability(1 - self.improvement.high), _probability(1 - self.improvement.low)
        often = f"a run of {better} ends above one of {worse} with probability {_probability(probability)}"
        how = f"{often} ({low} to {high})"
        if self.is_sure:
            return f"{better} is better: {how}; chance alone does as much in {percent(self.chance)} of cases."
        if probability == 1:
            return (
                f"These runs are too few to tell: all of {better}'s end above all of {worse}'s, but chance alone does "
                f"that in {percent(self.chance)} of cases."
            )
        return (
            f"These runs do not show which is better: {how}, and chance alone does as much in "
            f"{percent(self.chance)} of cases."
        )

    def to_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "which": self.which,
            "environments": {
                name: {
                    **{
                        group: {"scores": side.scores.tolist(), "interquartile_mean": side.iqm._asdict()}
                        for group, side in zip(NAMES, of.sides, strict=True)
                    },
                    "difference": of.difference._asdict(),
                    "probability_of_improvement": of.improvement._asdict(),
                }
                for name, of in self.environments.items()
            },
            "probability_of_improvement": self.improvement._asdict(),
            "chance_of_as_much": self.chance,
            "settings": {name: dict(zip(NAMES, both, strict=True)) for name, both in self.settings.items()},
            "better": None if not self.is_sure else "A" if self.improvement.point > 0.5 else "B",
            "verdict": self.verdict(),
        }


def compared(groups: tuple[Sequence[Run], Sequence[Run]], which: BestOrFinal = "final") -> Comparison:
    """Compares two groups of runs by their last evaluations.

    Intervals and chance come from resampling the runs with a fixed seed: the same runs always give the same figures.

    Args:
        groups: A and B, at least one run each; both on the same environments.
        which: Whether the final policies' evaluations count, or the best policies'.

    Raises:
        UserError: A run is in both groups or has no such evaluation, or only one group has runs on an environment.
    """
    there = {run.path.resolve() for run in groups[0]}
    for run in groups[1]:
        if run.path.resolve() in there:
            raise UserError(f"{run.path} is in both groups; a run must be in one")
    scores = [_scores(group, which) for group in groups]
    for name, (ours, theirs) in zip(NAMES, (scores, scores[::-1]), strict=True):
        lone = next((env_id for env_id in ours if env_id not in theirs), None)
        if lone is not None:
            raise UserError(f"only {name} has runs on {printable(lone)}; both groups must have the same environments")
    rng = np.random.default_rng(0)
    pairs = {env_id: (scores[0][env_id], scores[1][env_id]) for env_id in scores[0]}
    environments = {
        env_id: Environment(
            (Side(ours, estimate_of_iqm(ours, rng)), Side(theirs, estimate_of_iqm(theirs, rng))),
            estimate_of_difference(ours, theirs, rng),
            estimate_of_improvement([(ours, theirs)], rng),
        )
        for env_id, (ours, theirs) in pairs.items()
    }
    whole = estimate_of_improvement(list(pairs.values()), rng)
    chance = chance_of_as_much(list(pairs.values()), rng)
    settings = {name: (ours, theirs) for name, (ours, theirs) in differing(groups).items()}
    return Comparison(which, environments, whole, chance, settings)


def _scores(runs: Sequence[Run], which: BestOrFinal) -> dict[str, Scores]:
    """The score of each run, by environment."""
    found: dict[str, list[float]] = {}
    for run in runs:
        found.setdefault(run.config.env_id, []).append(score_of(run, which))
    return {env_id: np.array(values) for env_id, values in found.items()}


def score_of(run: Run, which: BestOrFinal) -> float:
    """The score of a run: the mean return of its final or best policy in the evaluation at its end.

    Raises:
        UserError: The run has not ended, or has no such evaluation.
    """
    if not run.is_finished:
        raise UserError(f"{run.path} has not ended; {run.command('resume')} continues it")
    evaluation = run.summary.get(_SUMMARIES[which])
    if evaluation is None:
        raise UserError(
            f"{run.path} has no evaluation of its {which} policy: it was trained with final_eval_episodes 0; train "
            "again with more"
        )
    mean = evaluation.get("mean") if isinstance(evaluation, dict) else None
    if not isinstance(mean, float | int) or not math.isfinite(mean) or abs(mean) > LARGEST:
        raise UserError(f"{run.path / 'summary.json'} has {shown(mean)} for a mean return; it must be a number")
    return float(mean)


def differing(groups: Sequence[Sequence[Run]]) -> dict[str, list[str]]:
    """The settings that decide curves and differ between groups, each with the values in every group."""
    values = [[settings_of(run.config) for run in group] for group in groups]
    names = dict.fromkeys(name for group in values for settings in group for name in settings)
    found = {}
    for name in names:
        texts = [sorted({value_in_words(settings.get(name, LEFT_OUT)) for settings in group}) for group in values]
        if any(text != texts[0] for text in texts):
            found[name] = [" or ".join(text) for text in texts]
    return found


def _probability(value: float) -> str:
    return f"{value:.2f}"


def percent(chance: float) -> str:
    """A probability as text: two digits below 10 %, and no rounding to 0 % or 100 % unless it is exactly 1.

    A chance comes from 10,000 permutations (`chance_of_as_much`), which measure none below 0.01 %.

    Example:
        >>> [percent(chance) for chance in (0.00001, 0.0046, 0.055, 0.873, 0.9951, 0.9998, 1.0)]
        ['less than 0.01 %', '0.46 %', '5.5 %', '87 %', '99.5 %', 'more than 99.9 %', '100 %']
    """
    if chance < 0.0001:
        return "less than 0.01 %"
    if 0.999 < chance < 1:
        return "more than 99.9 %"
    if chance < 0.1:
        return f"{100 * chance:.2g} %"
    return f"{100 * chance:.{1 if 0.99 < chance < 1 else 0}f} %"
