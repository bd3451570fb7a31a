"""Distances between real and generated images, and the networks whose features they are measured on."""

from immiscible_diffusion.evaluation.distances import Distances, Reference, distances, prepare_reference
from immiscible_diffusion.evaluation.edits import EditScores, hole_psnr, score_edits
from immiscible_diffusion.evaluation.features import FeatureNetwork, feature_network, image_features

__all__ = [
    "Distances",
    "EditScores",
    "FeatureNetwork",
    "Reference",
    "distances",
    "feature_network",
    "hole_psnr",
    "image_features",
    "prepare_reference",
    "score_edits",
]
