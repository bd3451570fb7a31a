"""What several tests of this room share: real images, their probe, and watchers."""

import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from immiscible_diffusion.data.images import ImageData, load_images
from immiscible_diffusion.evaluation import FeatureNetwork, feature_network


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data and weights beside the checkout; a test that needs it is skipped without it."""
    folder = Path(__file__).resolve().parents[2].parent / "shared"
    if not folder.is_dir():
        pytest.skip(f"no real data: {folder} is absent")
    return folder


@pytest.fixture(scope="session")
def digits() -> ImageData:
    return load_images("digits")


@pytest.fixture(scope="session")
def few_digits(digits: ImageData) -> ImageData:
    """100 digits: a probe of them trains in half a second."""
    return replace(
        digits,
        name="few-digits",
        pixels=digits.pixels[:100],
        labels=digits.labels[:100] if digits.labels is not None else None,
        fingerprint="few-digits",
    )


@pytest.fixture(scope="session")
def digits_probe(digits: ImageData, tmp_path_factory: pytest.TempPathFactory) -> FeatureNetwork:
    return feature_network("probe", digits, cache=tmp_path_factory.mktemp("probe"))


@pytest.fixture(autouse=True)
def no_weights_at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide this machine's caches, which might hold Inception weights or probes."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def undisturbed() -> Iterator[None]:
    """Fail a test that moves a global random state."""
    before = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()  # type: ignore[index]
    yield
    assert torch.equal(before[0], torch.get_rng_state())
    assert (before[1] == np.random.get_state()[1]).all()
    assert before[2] == random.getstate()
