"""What the tests of text-to-image models share."""

import functools
from pathlib import Path

import pytest
from tests.text_to_image.small_models import VOCABULARY, write_images, write_pipeline

from immiscible_diffusion.text_to_image.text_encoders import open_text_encoder


@pytest.fixture(scope="session")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny StableDiffusionPipeline."""
    if not VOCABULARY.exists():
        pytest.skip(f"no vocabulary: {VOCABULARY} is absent")
    return write_pipeline(tmp_path_factory.mktemp("pipeline") / "tiny")


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """A folder of 24 images of 3 classes, 16×16."""
    return write_images(tmp_path / "images")


kept_encoder = functools.cache(open_text_encoder)


@pytest.fixture(autouse=True)
def encoders(monkeypatch: pytest.MonkeyPatch) -> None:
    """A text encoder is opened once for all tests: reading CLIP's vocabulary takes a second."""
    monkeypatch.setattr("immiscible_diffusion.text_to_image.starting.open_text_encoder", kept_encoder)


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Embeddings and latents of tests are not kept in the user's cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))
