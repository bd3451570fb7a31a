"""The cache of latents: encoded once, taken up where it stopped, refused where it is of something else."""

import logging
from pathlib import Path

import pytest
import torch
from PIL import Image
from tests.text_to_image.small_models import SCALING, tiny_autoencoder, write_images

from immiscible_diffusion.data.images import load_images, to_clean
from immiscible_diffusion.text_to_image import latents as module
from immiscible_diffusion.text_to_image.autoencoders import Autoencoder, encode, open_autoencoder
from immiscible_diffusion.text_to_image.latents import Latents, Transform, encode_latents, load_latents
from immiscible_diffusion.text_to_image.stored_images import open_images


@pytest.fixture(autouse=True)
def pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PIECE_ROWS", 10)


@pytest.fixture
def autoencoder(pipeline: Path) -> Autoencoder:
    return open_autoencoder(str(pipeline))


def encoded(
    source: Path, autoencoder: Autoencoder, place: Path, bad_data: str = "stop", **transform: object
) -> Latents:
    images = open_images(str(source), bad_data=bad_data)  # type: ignore[arg-type]
    made = Transform(**transform)  # type: ignore[arg-type]
    for _ in encode_latents(images, autoencoder, made, place):
        pass
    return load_latents(images, autoencoder, made, place, bad_data=bad_data)  # type: ignore[arg-type]


def test_latents_are_those_of_the_images(images: Path, autoencoder: Autoencoder, tmp_path: Path) -> None:
    held = encoded(images, autoencoder, tmp_path / "cache", flip=True)
    data = load_images(str(images))
    assert held.raw.shape == (2, 24, 4, 8, 8) and held.shape == (4, 8, 8) and len(held) == 24
    for version, pixels in enumerate((data.pixels, data.pixels.flip(-1))):
        raw = encode(autoencoder, pixels)
        torch.testing.assert_close(held.raw[version].float(), raw, atol=2e-3, rtol=2e-3)
    rows, versions = torch.tensor([5, 0, 23]), torch.tensor([1, 0, 1])
    clean = held.clean(rows, versions)
    torch.testing.assert_close(clean, held.raw[versions, rows].float() * SCALING)
    every = torch.cat([held.clean(torch.arange(24), torch.full((24,), v)) for v in (0, 1)])
    torch.testing.assert_close(held.mean(), every.mean(0), atol=1e-4, rtol=1e-4)
    # diffusers' own way in: the mean of the distribution, scaled.
    own = autoencoder.module.encode(to_clean(data.pixels)).latent_dist.mean * SCALING  # type: ignore[operator]
    torch.testing.assert_close(
        held.clean(torch.arange(24), torch.zeros(24).long()), own, atol=4e-3, rtol=4e-3
    )


def test_latents_without_a_published_scale_are_standardised(
    images: Path, autoencoder: Autoencoder, tmp_path: Path
) -> None:
    unscaled = Autoencoder(**{**vars(autoencoder), "scaling": None})
    clean = encoded(images, unscaled, tmp_path / "cache").clean(torch.arange(24), torch.zeros(24).long())
    torch.testing.assert_close(clean.mean((0, 2, 3)), torch.zeros(4), atol=1e-3, rtol=0)
    torch.testing.assert_close(clean.std((0, 2, 3)), torch.ones(4), atol=1e-2, rtol=0)


def test_encoding_goes_on_where_it_was_stopped(
    images: Path, autoencoder: Autoencoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    whole = encoded(images, autoencoder, tmp_path / "whole")
    source, place = open_images(str(images)), tmp_path / "cache"
    steps = encode_latents(source, autoencoder, Transform(), place)
    assert [next(steps), next(steps)] == [(0, 3), (1, 3)]
    steps.close()  # killed with one piece of three done
    with pytest.raises(ValueError, match=r"latents in .* are not whole; encode them again"):
        load_latents(source, autoencoder, Transform(), place)
    counted = []
    plain = module.encode
    monkeypatch.setattr(module, "encode", lambda *a, **k: counted.append(len(a[1])) or plain(*a, **k))
    assert torch.equal(encoded(images, autoencoder, place).raw, whole.raw)
    assert counted == [10, 4]  # what was left
    file = sorted(place.glob("*.safetensors"))[1]
    file.write_bytes(file.read_bytes()[:-9] + b"123456789")
    with caplog.at_level(logging.WARNING):
        assert torch.equal(encoded(images, autoencoder, place).raw, whole.raw)
    assert counted == [10, 4, 10] and "are damaged" in caplog.text


def test_processes_share_the_work(images: Path, autoencoder: Autoencoder, tmp_path: Path) -> None:
    source, place = open_images(str(images)), tmp_path / "cache"
    assert len(list(encode_latents(source, autoencoder, Transform(), place, rank=0, processes=2))) == 3
    assert len(list(place.glob("*.safetensors"))) == 2
    list(encode_latents(source, autoencoder, Transform(), place, rank=1, processes=2))
    alone = encoded(images, autoencoder, tmp_path / "alone")
    assert torch.equal(load_latents(source, autoencoder, Transform(), place).raw, alone.raw)


def test_a_cache_of_something_else_is_refused(images: Path, autoencoder: Autoencoder, tmp_path: Path) -> None:
    place = tmp_path / "cache"
    encoded(images, autoencoder, place)
    remedy = "; give another --latents folder, or delete this one"
    with pytest.raises(
        ValueError, match=f"were made from another resolution, flip, crops or precision{remedy}"
    ):
        encoded(images, autoencoder, place, flip=True)
    tiny_autoencoder(seed=7).save_pretrained(tmp_path / "other")
    with pytest.raises(ValueError, match=f"were made from another autoencoder{remedy}"):
        encoded(images, open_autoencoder(str(tmp_path / "other")), place)
    first = next(images.rglob("*.png"))
    Image.new("RGB", (16, 16), "white").save(first)
    with pytest.raises(ValueError, match=f"were made from other data{remedy}"):
        encoded(images, autoencoder, place)


def test_bad_images_stop_or_are_left_out(images: Path, autoencoder: Autoencoder, tmp_path: Path) -> None:
    files = sorted(images.rglob("*.png"))
    files[3].write_bytes(b"no image")
    Image.new("RGB", (20, 16)).save(files[12])
    with pytest.raises(ValueError, match=r"row 3 .*cannot be read.*leave bad rows out with --bad-data skip"):
        encoded(images, autoencoder, tmp_path / "cache")
    with pytest.warns(UserWarning, match=r"2 of 24 rows left out: .*row 12 .* is 20×16, others are 16×16"):
        held = encoded(images, autoencoder, tmp_path / "cache", bad_data="skip")
    assert len(held) == 22 and held.rows.tolist() == [n for n in range(24) if n not in (3, 12)]
    source = open_images(str(images), bad_data="skip")
    light = source.without_pixels(held.rows)
    assert light.skipped_rows == (3, 12) and light.labels is not None and len(light.labels) == 22
    real = source.in_memory(held.rows, most=5)
    assert real.pixels.shape == (5, 3, 16, 16) and real.labels is not None and len(real.labels) == 5


def test_random_crops_are_other_places_of_the_image(autoencoder: Autoencoder, tmp_path: Path) -> None:
    wide = write_images(tmp_path / "wide", count=4, side=48)
    source = open_images(str(wide), resolution=16)
    middle, other = source.decoded([0, 1])[0], source.decoded([0, 1], crop=1)[0]
    assert torch.equal(middle, other)  # square ones have nothing to crop
    for file in wide.rglob("*.png"):
        with Image.open(file) as square:
            square.resize((96, 48)).save(file)
    source = open_images(str(wide), resolution=16)
    versions = [source.decoded([0, 1], crop=crop)[0] for crop in (0, 1, 2)]
    assert not torch.equal(versions[0], versions[1]) and not torch.equal(versions[1], versions[2])
    assert torch.equal(versions[2], source.decoded([0, 1], crop=2)[0])
    assert Transform(flip=True, crops=2).versions == [(1, False), (2, False), (1, True), (2, True)]


def test_what_cannot_be_encoded_is_said(images: Path) -> None:
    with pytest.raises(ValueError, match="data 'digits' are 8×8, less than an autoencoder can take"):
        open_images("digits")
    with pytest.raises(ValueError, match="rows must be 1 or more"):
        open_images(str(images), rows=0)
    assert len(open_images(str(images), rows=5)) == 5
