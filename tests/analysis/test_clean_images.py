"""What an analysis can look at, and what it refuses."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from immiscible_diffusion.analysis.clean_images import load_clean


def test_images_are_at_training_scale_and_in_order() -> None:
    images = load_clean("digits", rows=10, image_std=1.0)
    assert images.shape == (1, 8, 8) and images.dimension == 64 and len(images) == 10
    assert float(images.rows(slice(0, 10)).min()) == -2
    order = torch.tensor([3, 1, 7])
    parts = list(images.chunks(2, order))
    assert [len(part) for part in parts] == [2, 1]
    assert torch.equal(torch.cat(parts), images.rows(order))
    assert torch.allclose(images.mean(), images.rows(slice(0, 10)).mean(dim=0), atol=1e-6)


def test_latents_are_taken_as_they_are(tmp_path: Path) -> None:
    latents = torch.randn(6, 4, 2, 2)
    np.save(tmp_path / "a.npy", latents.numpy())
    save_file({"latents": latents.half(), "labels": torch.zeros(6)}, tmp_path / "b.safetensors")
    for name, tolerance in (("a.npy", 0.0), ("b.safetensors", 1e-2)):
        images = load_clean("digits", latents=tmp_path / name, rows=5)
        assert images.image_std is None and images.name == name
        assert torch.allclose(images.rows(slice(0, 5)), latents[:5], atol=tolerance)
    white = load_clean("gaussian:2x3", rows=4000)
    assert white.shape == (2, 3) and abs(float(white.values.std()) - 1) < 0.03


@pytest.mark.parametrize(
    ("name", "tensors", "message"),
    [
        ("none.npy", None, "no file of latents"),
        ("a.pt", {}, "must be a .npy or .safetensors file"),
        ("a.safetensors", {"a": torch.ones(2, 2), "b": torch.ones(2, 2)}, "has the tensors a, b; store one"),
        ("a.safetensors", {"a": torch.ones(4)}, r"has shape \(4,\)"),
        ("a.safetensors", {"a": torch.full((2, 2), torch.nan)}, "must be finite floats"),
        ("a.safetensors", {"a": torch.ones(2, 2, dtype=torch.int64)}, "must be finite floats"),
    ],
)
def test_latents_that_cannot_be_used_are_named(
    name: str, tensors: dict | None, message: str, tmp_path: Path
) -> None:
    if tensors is not None:
        save_file(tensors, tmp_path / name)
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        load_clean("digits", latents=tmp_path / name)


@pytest.mark.parametrize(
    ("source", "arguments", "message"),
    [
        ("gaussian", {}, "names no shape; write it as gaussian:4x32x32"),
        ("gaussian:4x0", {}, "names no shape"),
        ("digits", {"image_std": 0.0}, "image_std must be a positive number, got 0.0"),
        ("digits", {"rows": 1}, "rows must be 2 or more, got 1"),
        ("digit", {}, "did you mean 'digits'"),
    ],
)
def test_data_that_cannot_be_used_are_named(source: str, arguments: dict, message: str) -> None:
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        load_clean(source, **arguments)
