"""How far a painted hole is from what was there: in pixels, and in a feature network."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from immiscible_diffusion.evaluation.distances import Distances, Reference, distances
from immiscible_diffusion.evaluation.features import image_features


@dataclass(frozen=True)
class EditScores:
    """How good the edits of one model are."""

    psnr: float  # dB over the hole's pixels, from the mean squared error of all images; higher is nearer
    feature_distance: float  # mean over images, in [0, 4], of features scaled to length 1; lower is nearer
    distances: Distances  # of the edited images to the reference's real ones


def score_edits(
    reference: Reference, original: Tensor, edited: Tensor, hole: Tensor, *, seed: int = 0
) -> EditScores:
    """Compare edited with original images, uint8 [N, C, H, W], which differ inside `hole` only.

    The feature distance is LPIPS's idea (squared distance of features of unit length, Zhang et al. 2018) in
    the reference's network: not LPIPS itself, whose weights are another network's. Both see whole images, so
    that what surrounds the hole counts, but nothing outside of it can differ.
    """
    features = F.normalize(image_features(reference.network, original).double(), dim=1)  # [N, F]
    painted = F.normalize(image_features(reference.network, edited).double(), dim=1)
    return EditScores(
        hole_psnr(original, edited, hole),
        float((features - painted).square().sum(1).mean()),
        distances(reference, edited, seed=seed),
    )


def hole_psnr(original: Tensor, edited: Tensor, hole: Tensor) -> float:
    """Peak signal-to-noise ratio in dB over the pixels of the hole, bool [H, W]; infinite where all agree."""
    error = (original.float() - edited.float())[:, :, hole].double().square().mean()
    return float(10 * torch.log10(255.0**2 / error))
