"""Which noise each image is trained with: the paper's idea, and the only part most people install."""

from immiscible_diffusion.pairing.above import Above, told_apart
from immiscible_diffusion.pairing.across_ranks import AcrossRanks
from immiscible_diffusion.pairing.assigned import Assigned, assign
from immiscible_diffusion.pairing.background import paired
from immiscible_diffusion.pairing.blocks import assign_in_blocks
from immiscible_diffusion.pairing.dual_fitting import Duals, fit_duals
from immiscible_diffusion.pairing.independent import Independent
from immiscible_diffusion.pairing.naming import (
    canonical_name,
    is_fitted,
    is_levelled,
    is_rescaled,
    is_staged,
    is_whitened,
    pairing_from_name,
    unscaled_name,
    without_level,
)
from immiscible_diffusion.pairing.nearest import Nearest
from immiscible_diffusion.pairing.protocol import Pairing
from immiscible_diffusion.pairing.rescaled import Rescaled
from immiscible_diffusion.pairing.semidiscrete import Semidiscrete, fit_semidiscrete
from immiscible_diffusion.pairing.skew import Skew, measure_skew
from immiscible_diffusion.pairing.staged import Staged, in_force
from immiscible_diffusion.pairing.whitening import whitening
from immiscible_diffusion.pairing.within import AssignedWithin

__all__ = [
    "Above",
    "AcrossRanks",
    "Assigned",
    "AssignedWithin",
    "Duals",
    "Independent",
    "Nearest",
    "Pairing",
    "Rescaled",
    "Semidiscrete",
    "Skew",
    "Staged",
    "assign",
    "assign_in_blocks",
    "canonical_name",
    "fit_duals",
    "fit_semidiscrete",
    "in_force",
    "is_fitted",
    "is_levelled",
    "is_rescaled",
    "is_staged",
    "is_whitened",
    "measure_skew",
    "paired",
    "pairing_from_name",
    "told_apart",
    "unscaled_name",
    "whitening",
    "without_level",
]
