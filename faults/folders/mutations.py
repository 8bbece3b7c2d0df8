"""Which damage is done, and how often."""

from __future__ import annotations

from faults.folders.arrays import arrays_changed, header_changed
from faults.folders.copies import Copy, Mutation
from faults.folders.files import (
    flipped,
    linked,
    littered,
    output_linked,
    overwritten,
    pickled,
    removed,
    replaced_by_another_kind,
    step_renamed,
    truncated,
)
from faults.folders.json_values import config_changed, json_changed, metrics_changed

ANYWHERE: tuple[Mutation, ...] = (truncated, flipped, overwritten, removed, replaced_by_another_kind, linked, pickled)
"""What can follow another mutation."""

MUTATIONS: tuple[Mutation, ...] = (
    *ANYWHERE, output_linked, littered, step_renamed, *[metrics_changed] * 2, *[header_changed] * 3,
    *[json_changed] * 4, *[config_changed] * 4, *[arrays_changed] * 6,
)  # fmt: skip


def mutate(copy: Copy) -> str:
    """One mutation, or two."""
    said = [copy.rng.choice(MUTATIONS)(copy)]
    if copy.rng.random() < 0.15:
        said.append(copy.rng.choice(ANYWHERE)(copy))
    return "; then ".join(said)
