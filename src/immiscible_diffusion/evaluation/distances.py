"""How far a set of generated images is from the real ones: Fréchet distance and kernel distance (KID)."""

import warnings
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.kid import KernelInceptionDistance

from immiscible_diffusion.evaluation.features import FeatureNetwork, check_pixels, image_features
from immiscible_diffusion.randomness import derived_seed

MOST_PER_SUBSET = 1000  # as in the KID paper (Bińkowski et al. 2018) and in torch-fidelity
SUBSETS = 10  # of the unbiased estimate; more would cost more than a small network's sampling
_CHUNK = 4096  # rows cast to float64 at once


@dataclass(frozen=True)
class Distances:
    """Both distances of one set of generated images, and what they were measured with. Lower is better."""

    frechet: float  # squared Fréchet distance between Gaussians fitted to the features, at least 0
    kernel: (
        float  # unbiased squared kernel distance, may fall below 0; called KID where `distance_name` is "FID"
    )
    features: str  # name of the feature network
    distance_name: str  # what `frechet` may be called
    real_count: int
    generated_count: int
    warning: str = ""  # why the numbers need care; empty where they do not


@dataclass(frozen=True, eq=False)
class Reference:
    """The real images' features, computed once for the many evaluations of a comparison."""

    network: FeatureNetwork
    image_shape: tuple[int, ...]  # [C, H, W]
    features: Tensor  # float32 [N, F]
    frechet: FrechetInceptionDistance  # holds the real images' sums; an evaluation leaves it as it found it


def prepare_reference(images: Tensor, network: FeatureNetwork) -> Reference:
    """Compute the features of real images, uint8 [N, C, H, W], and their mean and covariance.

    Raises ValueError for other shapes and types and for fewer than two images.
    """
    _check_images("images", images)
    features = image_features(network, images)
    frechet = FrechetInceptionDistance(_Given(network.size), reset_real_features=False, sync_on_compute=False)
    for part in features.split(_CHUNK):
        frechet.update(part, real=True)
    return Reference(network, tuple(images.shape[1:]), features, frechet)


def distances(reference: Reference, generated: Tensor, *, seed: int = 0) -> Distances:
    """Measure generated images, uint8 [N, C, H, W], against the reference.

    Equal arguments give equal numbers; the global random state is left alone. The kernel distance is a mean
    over up to 50 random subsets of up to 1,000 images, drawn by `seed`: two evaluations with one seed and
    one count see the same real images.
    Warns, and says so in the result, where there are too few images for the covariance.
    Raises ValueError for other shapes and types and for fewer than two images.
    Source: Heusel et al. 2017 (Fréchet), Bińkowski et al. 2018 (kernel), by way of torchmetrics.
    """
    _check_images("generated", generated)
    if tuple(generated.shape[1:]) != reference.image_shape:
        raise ValueError(
            f"generated: images of shape {list(generated.shape[1:])}, but the reference has "
            f"{list(reference.image_shape)}; give images of the reference's shape"
        )
    features = image_features(reference.network, generated)
    warning = _shortage(reference, len(generated))
    if warning:
        warnings.warn(warning, stacklevel=2)
    return Distances(
        frechet=_frechet(reference.frechet, features),
        kernel=_kernel(reference.features, features, seed),
        features=reference.network.name,
        distance_name=reference.network.distance_name,
        real_count=len(reference.features),
        generated_count=len(generated),
        warning=warning,
    )


class _Given(nn.Module):
    """Passes features on to torchmetrics, which would otherwise run the network once for each distance."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.num_features = num_features  # torchmetrics reads this name

    def forward(self, features: Tensor) -> Tensor:
        return features.double()


def _frechet(metric: FrechetInceptionDistance, features: Tensor) -> float:
    try:
        for part in features.split(_CHUNK):
            metric.update(part, real=False)
        squared = float(metric.compute())
    finally:
        metric.reset()
    # Equal sets may come out a rounding error below zero, which no squared distance is.
    return 0.0 if squared < 0 else squared


def _kernel(real: Tensor, generated: Tensor, seed: int) -> float:
    subset = min(MOST_PER_SUBSET, len(real), len(generated))
    # A subset that is the whole of both sets is the same every time.
    subsets = 1 if subset == len(real) == len(generated) else SUBSETS
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*will save all extracted features in buffer")
        metric = KernelInceptionDistance(
            nn.Identity(), subsets=subsets, subset_size=subset, sync_on_compute=False
        )
    metric.update(real, real=True)
    metric.update(generated, real=False)
    with torch.random.fork_rng(devices=[]):  # torchmetrics draws its subsets from the global generator
        torch.default_generator.manual_seed(derived_seed(seed, "evaluation"))
        return float(metric.compute()[0])


def _check_images(argument: str, images: Tensor) -> None:
    check_pixels(argument, images)
    if len(images) < 2:
        raise ValueError(f"{argument}: {len(images)} given; a distance needs at least 2, better thousands")


def _shortage(reference: Reference, generated_count: int) -> str:
    size = reference.network.size
    short = [
        f"{count} {kind} images"
        for count, kind in ((len(reference.features), "real"), (generated_count, "generated"))
        if count <= size
    ]
    if not short:
        return ""
    return (
        f"{reference.network.distance_name} from {' and '.join(short)} with {size} features: the covariance "
        f"is singular and the distance too large; give more than {size} images, or read the kernel distance"
    )
