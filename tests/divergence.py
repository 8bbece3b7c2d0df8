"""The KL divergence of two policies over the rows of a rollout, in float64 NumPy."""

import numpy as np

from a2c.model.blocks import forward


def distributions(case, parameters):
    """For each factor, the probabilities of every row in float64, or the means and log standard deviations."""
    rows = case.rollout.reward.size
    inputs = case.rollout.inputs[:-1].astype(np.float64).reshape(rows, -1)
    mask = case.rollout.mask[:-1].reshape(rows, -1)
    outputs = forward(np, case.architecture, "actor", parameters, inputs)
    found = []
    for factor in case.actions.factors:
        own = outputs[:, factor.output : factor.output + factor.outputs]
        if factor.kind == "gaussian":
            found.append((own, parameters["log_std"][factor.log_std : factor.log_std + factor.columns]))
            continue
        size = 2 if factor.kind == "bernoulli" else factor.outputs
        logits = np.stack([np.zeros_like(own), own], -1) if factor.kind == "bernoulli" else own[:, None]
        if case.num_masks:
            allowed = mask[:, factor.mask : factor.mask + logits.shape[1] * size].reshape(logits.shape)
            logits = np.where(allowed, logits, -np.inf)
        weights = np.exp(logits - logits.max(-1, keepdims=True))
        found.append(weights / weights.sum(-1, keepdims=True))
    return found


def divergence(case, old, new):
    """KL(old || new), the mean over rows of the sum over factors."""
    total = 0.0
    for factor, p, q in zip(case.actions.factors, old, new, strict=True):
        if factor.kind == "gaussian":
            (mean, log_std), (other, other_log_std) = p, q
            ratio = np.exp(2 * (log_std - other_log_std))
            moved = (mean - other) ** 2 * np.exp(-2 * other_log_std)
            total = total + np.sum(other_log_std - log_std + 0.5 * (ratio + moved - 1), -1).mean()
        else:
            terms = np.where(p > 0, p * (np.log(np.where(p > 0, p, 1)) - np.log(np.where(p > 0, q, 1))), 0)
            total = total + terms.sum((-2, -1)).mean()
    return total
