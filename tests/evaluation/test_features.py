"""Choosing a feature network, and what it may be called."""

import dataclasses
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from immiscible_diffusion.data.images import ImageData, to_clean
from immiscible_diffusion.evaluation import FeatureNetwork, feature_network, image_features


def test_auto_is_the_probe_where_no_weights_are_found(few_digits: ImageData, tmp_path: Path) -> None:
    chosen = feature_network("auto", few_digits, cache=tmp_path)
    assert chosen.name == "probe(few-digits)"
    assert chosen.distance_name == "Fréchet distance"
    assert chosen.size == 64
    assert chosen.accuracy is not None and 0 <= chosen.accuracy <= 1


def test_an_unknown_name_gets_a_suggestion(few_digits: ImageData) -> None:
    with pytest.raises(
        ValueError, match=r"name: unknown feature network 'incepton'; did you mean 'inception'\?"
    ):
        feature_network("incepton", few_digits)
    with pytest.raises(ValueError, match="valid: auto, inception, pixels, probe, resnet"):
        feature_network("qqq", few_digits)


def test_weights_that_would_be_ignored_are_refused(few_digits: ImageData) -> None:
    with pytest.raises(ValueError, match=r"weights: some.pth given, but name='probe' uses none"):
        feature_network("probe", few_digits, weights=Path("some.pth"))


def test_pixels_are_features_of_small_images(few_digits: ImageData) -> None:
    network = feature_network("pixels", few_digits)
    features = image_features(network, few_digits.pixels)
    assert features.shape == (len(few_digits.pixels), 64) and network.size == 64
    assert torch.equal(features, to_clean(few_digits.pixels).flatten(1))
    assert network.name == "pixels(few-digits)" and network.distance_name == "Fréchet distance"
    large = dataclasses.replace(few_digits, pixels=torch.zeros(3, 3, 32, 32, dtype=torch.uint8))
    with pytest.raises(ValueError, match="up to 1024 values, 'few-digits' has 3072"):
        feature_network("pixels", large)


def test_inception_takes_grey_or_colour(tmp_path: Path) -> None:
    latents = ImageData("latents", torch.zeros(3, 4, 8, 8, dtype=torch.uint8), None, (), "latents")
    (tmp_path / "some.pth").touch()
    with pytest.raises(
        ValueError, match=r"name: 'inception' takes grey or colour .*'latents' has 4 channels"
    ):
        feature_network("inception", latents, weights=tmp_path / "some.pth")


def test_features_do_not_depend_on_the_batch_size(digits: ImageData, digits_probe: FeatureNetwork) -> None:
    whole = image_features(digits_probe, digits.pixels[:100], batch=100)
    assert whole.shape == (100, 64) and whole.dtype == torch.float32
    torch.testing.assert_close(image_features(digits_probe, digits.pixels[:100], batch=7), whole)


@pytest.mark.parametrize(
    ("images", "given"),
    [
        (torch.zeros(3, 1, 8, 8), r"images: float32 \[3, 1, 8, 8\] given"),
        (torch.zeros(3, 8, 8, dtype=torch.uint8), r"images: uint8 \[3, 8, 8\] given"),
    ],
)
def test_only_bytes_are_images(images: Tensor, given: str, digits_probe: FeatureNetwork) -> None:
    with pytest.raises(ValueError, match=given + r"; give uint8 \[N, C, H, W\]"):
        image_features(digits_probe, images)


class Broken(nn.Linear):
    def forward(self, images: Tensor) -> Tensor:
        return torch.full((len(images), 2), float("nan"))


def test_a_network_gone_wrong_is_named() -> None:
    broken = FeatureNetwork("broken", Broken(1, 1), 2, "Fréchet distance")
    with pytest.raises(ValueError, match="network: broken gives features that are not finite"):
        image_features(broken, torch.zeros(3, 1, 8, 8, dtype=torch.uint8))
