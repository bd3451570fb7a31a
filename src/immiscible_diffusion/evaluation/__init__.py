"""Distances between real and generated images, and the networks whose features they are measured on."""

from immiscible_diffusion.evaluation.classes import Classifier, classifier_for, predicted_classes
from immiscible_diffusion.evaluation.distances import Distances, Reference, distances, prepare_reference
from immiscible_diffusion.evaluation.features import FeatureNetwork, feature_network, image_features

__all__ = [
    "Classifier",
    "Distances",
    "FeatureNetwork",
    "Reference",
    "classifier_for",
    "distances",
    "feature_network",
    "image_features",
    "predicted_classes",
    "prepare_reference",
]
