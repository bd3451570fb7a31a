"""What the network learns: diffusion (DDPM/DDIM, EDM), flow matching and consistency."""

from immiscible_diffusion.objectives.consistency import Consistency
from immiscible_diffusion.objectives.diffusion import Diffusion
from immiscible_diffusion.objectives.edm import EDM
from immiscible_diffusion.objectives.flow_matching import FlowMatching
from immiscible_diffusion.objectives.objective import (
    Estimate,
    Network,
    Objective,
    PathObjective,
    mixing_scales,
    noise_levels,
)

__all__ = [
    "EDM",
    "Consistency",
    "Diffusion",
    "Estimate",
    "FlowMatching",
    "Network",
    "Objective",
    "PathObjective",
    "mixing_scales",
    "noise_levels",
]
