"""The principal axes of a data set, each scaled to unit variance: another metric to choose noise by.

Noise is standard Gaussian in any rotated axes, so that the nearest noise to a whitened image is Algorithm 1
for another image: every axis in which images differ counts alike, where otherwise the few large ones decide.
"""

import torch
from torch import Tensor

LARGEST = 4096  # values of an image whose covariance is worth its memory
# Axes of less variance than this share of the mean one tell more of rounding than of images.
LEAST = 1e-3


def whitening(images: Tensor, least: float = LEAST) -> Tensor:
    """Compute W = V diag(1/σ) Vᵀ of images [N, ...] about their mean, float32 [D, D], D their size.

    least: axes whose variance is under this share of the mean variance are left out (factor 0).
    Raises ValueError for fewer than two images, images of more than 4,096 values, or all alike.
    """
    size = images[0].numel()
    if len(images) < 2 or size > LARGEST:
        raise ValueError(
            f"images must be 2 or more of at most {LARGEST} values each, got {len(images)} of {size}"
        )
    total = torch.zeros(size, dtype=torch.float64, device=images.device)
    for part in images.split(4096):
        total += part.flatten(1).double().sum(dim=0)
    mean = (total / len(images)).float()
    products = torch.zeros(size, size, device=images.device)
    for part in images.split(4096):
        rows = part.flatten(1).float() - mean
        products += rows.T @ rows
    variances, axes = torch.linalg.eigh((products / len(images)).double())
    floor = least * variances.clamp(min=0).mean()
    if not floor > 0:
        raise ValueError("images are all alike; whitening needs images that differ")
    factors = torch.where(variances > floor, variances.clamp(min=1e-300).rsqrt(), 0.0)
    scaled: Tensor = (axes * factors) @ axes.T
    return scaled.float()
