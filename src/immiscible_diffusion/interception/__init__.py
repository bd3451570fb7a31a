"""Pairing a script as it is: its training step's draw of noise is found, and answered by a pairing."""

from immiscible_diffusion.interception.drawing import ambiguous, paired_noise
from immiscible_diffusion.interception.findings import Interception, Sighting
from immiscible_diffusion.interception.places import Place

__all__ = ["Interception", "Place", "Sighting", "ambiguous", "paired_noise"]
