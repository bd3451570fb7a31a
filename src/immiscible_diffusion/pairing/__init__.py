"""Which noise each image is trained with: the paper's idea, and the only part most people install."""

from immiscible_diffusion.pairing.assigned import Assigned, assign
from immiscible_diffusion.pairing.independent import Independent
from immiscible_diffusion.pairing.naming import canonical_name, pairing_from_name
from immiscible_diffusion.pairing.nearest import Nearest
from immiscible_diffusion.pairing.protocol import Pairing

__all__ = [
    "Assigned",
    "Independent",
    "Nearest",
    "Pairing",
    "assign",
    "canonical_name",
    "pairing_from_name",
]
