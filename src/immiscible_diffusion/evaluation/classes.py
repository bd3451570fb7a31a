"""Which class an image shows, as a classifier sees it."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from immiscible_diffusion.data.images import ImageData
from immiscible_diffusion.evaluation.features import FeatureNetwork, check_pixels, feature_network


@dataclass(frozen=True, eq=False)
class Classifier:
    """A frozen classifier; its `name` stands beside every share of classes."""

    name: str
    module: nn.Module  # has scores(uint8 [N, C, H, W]) -> float32 [N, classes]
    accuracy: float | None  # share of held-out real images classified rightly, where it was measured


def classifier_for(features: FeatureNetwork, images: ImageData) -> tuple[Classifier | None, str]:
    """Choose what tells classes: the feature network's own head, else a probe of the data's labels.

    Returns the classifier, or None, and a sentence that says why it is not the feature network's own head
    (empty where it is).
    """
    if hasattr(features.module, "scores"):
        return Classifier(features.name, features.module, features.accuracy), ""
    missing = f"features {features.name} have no classes of this data set"
    if images.labels is None:
        return None, f"{missing} and {images.name} has no labels, so no image's class can be told"
    probe = feature_network("probe", images)
    return Classifier(probe.name, probe.module, probe.accuracy), f"{missing}; {probe.name} tells them"


@torch.no_grad()
def predicted_classes(classifier: Classifier, images: Tensor, batch: int = 256) -> Tensor:
    """Tell the most likely class of each image, uint8 [N, C, H, W] -> int64 [N] on the CPU."""
    check_pixels("images", images)
    device = next(classifier.module.parameters()).device
    scores = [classifier.module.scores(part.to(device)).cpu() for part in images.split(batch)]  # type: ignore[operator]
    return torch.cat(scores).argmax(dim=1)
