"""Which settings mattered: those that distinguish a study's best trials from the others."""

from __future__ import annotations

import warnings
from typing import Any

from a2c.tuning.study import Study

FEWEST = 8
"""With fewer trials than this, there are no importances."""

_BEST = 0.25
"""The share of trials that count as the best."""


def importances(study: Study) -> dict[str, float]:
    """How much each setting distinguishes the best quarter of trials from the others.

    Pruned trials count among the others, as they show which values are bad.

    Returns:
        Importances by name, the largest first; they sum to 1. Empty if there are fewer than `FEWEST` trials.

    Reference: Watanabe et al., "PED-ANOVA: efficiently quantifying hyperparameter importance in arbitrary subspaces"
        (2023), in Optuna's implementation.
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
        warnings.simplefilter("ignore")  # It warns of settings that few trials had.
        found: dict[str, Any] = optuna.importance.get_param_importances(rated, evaluator=evaluator)
    if sum(found.values()) == 0:
        return {}
    return {name: float(value) for name, value in sorted(found.items(), key=lambda item: (-item[1], item[0]))}
