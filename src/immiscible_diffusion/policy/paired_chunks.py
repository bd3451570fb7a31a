"""Pairing on chunks of actions: standardised, or among rows that saw something similar.

A policy is conditional. Noise chosen over the whole batch leans towards its action, and so tells something of
the observation, which independent noise at sampling time does not (`skew.py` measures it).
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from immiscible_diffusion.pairing import Above, Pairing, pairing_from_name, told_apart, without_level
from immiscible_diffusion.pairing.within import similar_rows
from immiscible_diffusion.policy.chunks import Chunks
from immiscible_diffusion.policy.experiment import PolicyExperiment

SMALLEST = 1e-6  # std below which an element of a chunk is constant in the batch


@dataclass(frozen=True)
class Standardised:
    """Choose against actions at mean 0 and std 1 in every element, over the rows it is given."""

    pairing: Pairing

    @torch.no_grad()
    def __call__(
        self,
        clean: Tensor,
        *,
        generator: torch.Generator | None = None,
        condition: Any = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        """Draw noise for `clean` [B, ...]; see `Pairing`."""
        rows = clean.float()
        spread = rows.std(dim=0, correction=0).clamp(min=SMALLEST)
        scaled = (rows - rows.mean(dim=0)) / spread
        return self.pairing(scaled.to(clean.dtype), generator=generator, condition=condition, mask=mask)


@dataclass(frozen=True)
class WithinSimilar:
    """Pair within groups of at most `size` rows with similar conditions, halved along principal components.

    Permuting noise within a group leaves each group's noise Gaussian, so noise tells nothing of the group
    (the idea of C2OT: pairing within the condition).
    """

    pairing: Pairing
    size: int

    @torch.no_grad()
    def __call__(
        self,
        clean: Tensor,
        *,
        generator: torch.Generator | None = None,
        condition: Any = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        """Draw noise for `clean` [B, ...] by `condition` [B, ...]; see `Pairing`."""
        if condition is None:
            raise ValueError("WithinSimilar pairs by condition and got none; pass the observations")
        noise = torch.empty_like(clean)
        for rows in similar_rows(condition, self.size):
            chosen = None if mask is None else mask[rows] if len(mask) == len(clean) else mask
            noise[rows] = self.pairing(
                clean[rows], generator=generator, condition=condition[rows], mask=chosen
            )
        return noise


def policy_pairing(experiment: PolicyExperiment, chunks: Chunks) -> Pairing:
    """Build the pairing of an experiment; a centred name means on the mean chunk."""
    name, level = without_level(experiment.pairing)
    pairing: Pairing = pairing_from_name(name, chunks.action.mean(dim=0))
    if experiment.pairing_standardise:
        pairing = Standardised(pairing)
    if experiment.pairing_cluster:
        pairing = WithinSimilar(pairing, experiment.pairing_cluster)
    if level is None:
        return pairing
    return Above(pairing, told_apart(chunks.action) if isinstance(level, str) else level)
