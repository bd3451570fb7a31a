"""Distances between real and generated images, and the networks whose features they are measured on."""

from immiscible_diffusion.evaluation.classes import Classifier, classifier_for, predicted_classes
from immiscible_diffusion.evaluation.distances import Distances, Reference, distances, prepare_reference
from immiscible_diffusion.evaluation.edits import EditScores, hole_psnr, score_edits
from immiscible_diffusion.evaluation.features import FeatureNetwork, feature_network, image_features
from immiscible_diffusion.evaluation.memorisation import Memorisation, memorisation

__all__ = [
    "Classifier",
    "Distances",
    "EditScores",
    "FeatureNetwork",
    "Memorisation",
    "Reference",
    "classifier_for",
    "distances",
    "feature_network",
    "hole_psnr",
    "image_features",
    "memorisation",
    "predicted_classes",
    "prepare_reference",
    "score_edits",
]
