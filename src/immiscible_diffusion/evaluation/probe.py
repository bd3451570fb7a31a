"""A small classifier trained on the data set's own labels, whose last features the distances are measured on.

It stands in for Inception-v3 where that network's weights cannot be had, or where images such as 8×8 digits
have little in common with the photographs it knows.
Distances measured with it compare runs that share one probe; they are not FID.
"""

import math
import time
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from immiscible_diffusion.data.images import ImageData
from immiscible_diffusion.randomness import derived_seed, generator_for

VERSION = 1  # part of the cache's key: raise it whenever this file would train a different probe
FEATURE_COUNT = 64
BATCH = 128
LEARNING_RATE = 0.01
FEWEST_STEPS, MOST_STEPS, MOST_EPOCHS = 100, 600, 12  # about 20 s on one core at 32×32, 2 s for 8×8 digits
FEWEST_IMAGES = 32
MOST_HELD_OUT = 2000
WORKING_SIZE = 16  # larger images are strided down to about this, which bounds the cost


@dataclass(frozen=True)
class ProbeRecord:
    """How a probe was made and how good it is; kept beside its weights."""

    version: int
    seed: int
    data: str  # name of the data set
    fingerprint: str  # of the data set
    image_shape: tuple[int, int, int]  # channels, height, width
    classes: int
    accuracy: float  # share of the held-out images classified rightly, in [0, 1]
    held_out: int  # images
    seconds: float  # of training


class Probe(nn.Module):
    """Four convolutions and a mean over positions: uint8 [N, C, H, W] -> float32 [N, 64]."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, image_shape: tuple[int, int, int], classes: int) -> None:
        super().__init__()
        channels, height, width = image_shape
        stride = 2 ** max(0, round(math.log2(min(height, width) / WORKING_SIZE)))
        self.body = nn.Sequential(
            *_convolution(channels, 16, kernel=2 * stride + 1, stride=stride),
            *_convolution(16, 32),
            nn.MaxPool2d(2, ceil_mode=True),  # ceil: a 1×1 map stays 1×1
            *_convolution(32, 32),
            nn.MaxPool2d(2, ceil_mode=True),
            *_convolution(32, FEATURE_COUNT),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
        )
        self.head = nn.Linear(FEATURE_COUNT, classes)
        self.register_buffer("mean", torch.zeros(1, channels, 1, 1))
        self.register_buffer("deviation", torch.ones(1, channels, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        features: Tensor = self.body((images.float() - self.mean) / self.deviation)
        return features

    def scores(self, images: Tensor) -> Tensor:
        """Score the classes: uint8 [N, C, H, W] -> float32 [N, classes]."""
        scores: Tensor = self.head(self(images))
        return scores


def train_probe(images: ImageData, seed: int = 0) -> tuple[Probe, ProbeRecord]:
    """Train a probe on nine tenths of the labelled images and measure it on the rest.

    Returns the probe in evaluation mode without gradients, and its record. Equal data and seed give an equal
    probe on one machine; the global random state is left alone.
    Raises ValueError where labels are absent or negative, or where there are too few images or classes.
    """
    labels = _checked_labels(images)
    started = time.perf_counter()
    order = torch.randperm(len(labels), generator=generator_for(seed, "order"))
    held_out, training = order.tensor_split([min(MOST_HELD_OUT, max(1, len(labels) // 10))])
    # Class names may list classes that this part of the data lacks; labels may outrun the names.
    classes = max(int(labels.max()) + 1, len(images.class_names))
    pixels = images.pixels.cpu()
    channels, height, width = pixels.shape[1:]
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        # torch.manual_seed would reseed every GPU as well, which fork_rng does not restore here.
        torch.default_generator.manual_seed(derived_seed(seed, "weights"))
        probe = Probe((channels, height, width), classes)
        sample = pixels[training[:5000]].float()
        probe.mean.copy_(sample.mean((0, 2, 3), keepdim=True))
        probe.deviation.copy_(sample.std((0, 2, 3), keepdim=True).clamp_min(1.0))
        _fit(probe, pixels, labels, training, generator_for(seed, "order", step=1))
    probe.requires_grad_(False).eval()
    with torch.no_grad():
        right = sum(
            int((probe.scores(pixels[rows]).argmax(1) == labels[rows]).sum())
            for rows in held_out.split(BATCH)
        )
    record = ProbeRecord(
        version=VERSION,
        seed=seed,
        data=images.name,
        fingerprint=images.fingerprint,
        image_shape=(channels, height, width),
        classes=classes,
        accuracy=right / len(held_out),
        held_out=len(held_out),
        seconds=time.perf_counter() - started,
    )
    return probe, record


def _fit(probe: Probe, pixels: Tensor, labels: Tensor, rows: Tensor, generator: torch.Generator) -> None:
    batch = min(BATCH, len(rows))
    steps = min(MOST_STEPS, max(FEWEST_STEPS, MOST_EPOCHS * len(rows) // batch))
    optimizer = torch.optim.AdamW(probe.parameters(), lr=LEARNING_RATE, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=steps, pct_start=0.2)
    waiting = rows[:0]
    for _ in range(steps):
        if len(waiting) < batch:
            waiting = rows[torch.randperm(len(rows), generator=generator)]
        chosen, waiting = waiting[:batch], waiting[batch:]
        loss = F.cross_entropy(probe.scores(pixels[chosen]), labels[chosen], label_smoothing=0.1)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()


def _checked_labels(images: ImageData) -> Tensor:
    if images.labels is None:
        problem = "no labels, and the probe learns from labels; give labels"
    elif len(images.labels) < FEWEST_IMAGES:
        problem = f"{len(images.labels)} images, and the probe needs at least {FEWEST_IMAGES}; give more"
    elif int(images.labels.min()) < 0:
        problem = f"the label {int(images.labels.min())}, and classes count from 0; number them so"
    elif int(images.labels.min()) == int(images.labels.max()):
        problem = f"one class only ({int(images.labels[0])}), and the probe needs two; give other labels"
    else:
        return images.labels.cpu().long()
    raise ValueError(
        f"images: data set {images.name!r} has {problem}, or weights=PATH of the Inception-v3 file"
    )


def _convolution(channels_in: int, channels: int, kernel: int = 3, stride: int = 1) -> tuple[nn.Module, ...]:
    convolution = nn.Conv2d(channels_in, channels, kernel, stride, padding=kernel // 2, bias=False)
    return convolution, nn.BatchNorm2d(channels), nn.ReLU()
