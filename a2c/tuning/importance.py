"""Which settings mattered: what tells a study's best trials from the rest of them."""

from __future__ import annotations

import warnings
from typing import Any

from a2c.tuning.study import Study

FEWEST = 8
"""Trials from which on anything is said."""

_BEST = 0.25
"""Of the trials, how many are the best."""


def importances(study: Study) -> dict[str, float]:
    """How much each setting tells the best quarter of trials from the rest; they sum to 1. Empty for too few trials.

    Trials that were given up count among the rest: they say what is bad.

    Reference: Watanabe et al., "PED-ANOVA: efficiently quantifying hyperparameter importance in arbitrary subspaces"
        (2023), as Optuna has it.
    """
    import optuna

    ended = [one for one in study.optuna_study.get_trials(deepcopy=False) if one.state.name in ("COMPLETE", "PRUNED")]
    values = [one.value for one in ended if one.value is not None and one.state.name == "COMPLETE"]
    if len(ended) < FEWEST or len(set(values)) < 2:
        return {}
    worst = min(values) - 1
    rated = optuna.create_study(direction="maximize")
    rated.add_trials(
        [
            optuna.create_trial(
                params=one.params,
                distributions=one.distributions,
                value=one.value if one.state.name == "COMPLETE" else worst,
            )
            for one in ended
        ]
    )
    evaluator = optuna.importance.PedAnovaImportanceEvaluator(target_quantile=_BEST)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Of settings that few trials had.
        found: dict[str, Any] = optuna.importance.get_param_importances(rated, evaluator=evaluator)
    if sum(found.values()) == 0:
        return {}
    return {name: float(value) for name, value in sorted(found.items(), key=lambda item: (-item[1], item[0]))}
