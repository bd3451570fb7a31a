"""What the network learns: diffusion (DDPM/DDIM) and flow matching."""

from immiscible_diffusion.objectives.diffusion import Diffusion
from immiscible_diffusion.objectives.flow_matching import FlowMatching
from immiscible_diffusion.objectives.objective import Estimate, Network, Objective

__all__ = ["Diffusion", "Estimate", "FlowMatching", "Network", "Objective"]
