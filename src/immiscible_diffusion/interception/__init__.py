"""Pairing without a change to the script: the training step's draw of noise is found, and answered by a pairing."""

from immiscible_diffusion.interception.drawing import ambiguous, paired_noise
from immiscible_diffusion.interception.findings import Interception, Place, Sighting

__all__ = ["Interception", "Place", "Sighting", "ambiguous", "paired_noise"]
