"""Distances between real and generated images, and the networks whose features they are measured on."""

from immiscible_diffusion.evaluation.distances import Distances, Reference, distances, prepare_reference
from immiscible_diffusion.evaluation.features import FeatureNetwork, feature_network, image_features

__all__ = [
    "Distances",
    "FeatureNetwork",
    "Reference",
    "distances",
    "feature_network",
    "image_features",
    "prepare_reference",
]
