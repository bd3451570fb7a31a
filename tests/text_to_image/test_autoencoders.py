"""Autoencoders: opened from any layout, and the published tiny one as good as it is."""

import json
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderTiny
from tests.conftest import SHARED
from tests.text_to_image.small_models import SCALING, tiny_autoencoder, tiny_unet

from immiscible_diffusion.data.images import load_images
from immiscible_diffusion.text_to_image.autoencoders import LatentScale, decode, encode, open_autoencoder
from immiscible_diffusion.text_to_image.tiny_autoencoder import TinyFlux2Autoencoder, load_taef2

WEIGHTS = SHARED / "weights"


def psnr(images: torch.Tensor, others: torch.Tensor) -> float:
    errors = (images.float() - others.float()).square().flatten(1).mean(dim=1)
    return float((10 * torch.log10(255**2 / errors)).mean())


@pytest.mark.parametrize(("name", "wanted"), [("flickr8k_64", 24.8), ("emoji_64", 27.8)])
def test_taef2_reconstructs_as_its_own_code_does(shared_data: Path, name: str, wanted: float) -> None:
    """SOURCES.md has what the authors' taesd.py gave on these data."""
    pixels = load_images(str(shared_data / name), rows=64).pixels
    autoencoder = open_autoencoder(str(WEIGHTS))
    assert (autoencoder.channels, autoencoder.factor, autoencoder.scaling) == (32, 8, None)
    latents = encode(autoencoder, pixels)
    assert latents.shape == (64, 32, 8, 8) and float(latents.std()) == pytest.approx(0.8, abs=0.3)
    assert psnr(decode(autoencoder, latents), pixels) == pytest.approx(wanted, abs=1)
    bf16 = decode(autoencoder, encode(autoencoder, pixels[:4], dtype=torch.bfloat16), dtype=torch.bfloat16)
    assert psnr(bf16, pixels[:4]) > wanted - 6


def test_a_standardising_taef2_saves_and_gives_back_the_same(shared_data: Path, tmp_path: Path) -> None:
    plain = load_taef2(WEIGHTS)
    mean, std = torch.linspace(-1, 1, 32), torch.linspace(0.5, 2, 32)
    scaled = TinyFlux2Autoencoder(latent_mean=mean.tolist(), latent_std=std.tolist()).eval()
    scaled.load_state_dict(plain.state_dict())
    scaled.save_pretrained(tmp_path / "vae")
    loaded = TinyFlux2Autoencoder.from_pretrained(tmp_path / "vae")
    images = torch.rand(2, 3, 16, 16) * 2 - 1
    raw = plain.encode(images).latents
    scale = LatentScale(mean[:, None, None], std[:, None, None])
    torch.testing.assert_close(loaded.encode(images).latents, scale.clean(raw))
    torch.testing.assert_close(
        loaded.decode(scale.clean(raw)).sample, plain.decode(raw).sample, atol=1e-4, rtol=1e-4
    )


def test_diffusers_own_open_from_their_folders(pipeline: Path, tmp_path: Path) -> None:
    whole = open_autoencoder(str(pipeline))  # a pipeline's is in vae/
    alone = open_autoencoder(str(pipeline / "vae"))
    assert whole.fingerprint == alone.fingerprint
    assert (whole.channels, whole.factor, whole.scaling, whole.shift) == (4, 2, SCALING, 0)
    assert whole.latent_shape(16, 24) == (4, 8, 12)
    with pytest.raises(ValueError, match=r"16×15 do not divide by 2, .*give a --resolution that does"):
        whole.latent_shape(16, 15)
    AutoencoderTiny(
        encoder_block_out_channels=(8, 8), decoder_block_out_channels=(8, 8), num_encoder_blocks=(1, 1),
        num_decoder_blocks=(1, 1),
    ).save_pretrained(tmp_path / "tiny")  # fmt: skip
    tiny = open_autoencoder(str(tmp_path / "tiny"))
    pixels = torch.randint(0, 256, (3, 3, 16, 16), dtype=torch.uint8)
    assert encode(tiny, pixels).shape == (3, 4, 8, 8) and tiny.scaling == 1
    assert decode(tiny, encode(tiny, pixels), piece=2).shape == pixels.shape
    torch.testing.assert_close(encode(tiny, pixels, piece=1), encode(tiny, pixels), atol=1e-4, rtol=0)
    tiny_autoencoder(seed=5).save_pretrained(tmp_path / "other")
    assert open_autoencoder(str(tmp_path / "other")).fingerprint != whole.fingerprint


def test_what_is_no_autoencoder_is_refused(tmp_path: Path, pipeline: Path) -> None:
    with pytest.raises(FileNotFoundError, match="autoencoder 'nowhere' is no folder here and no hub name"):
        open_autoencoder("nowhere")
    with pytest.raises(
        FileNotFoundError, match=r"neither config.json nor taef2_encoder.pth; give a folder that"
    ):
        open_autoencoder(str(tmp_path))
    tiny_unet().save_pretrained(tmp_path / "unet")
    with pytest.raises(ValueError, match="is a UNet2DConditionModel, which encodes no images"):
        open_autoencoder(str(tmp_path / "unet"))
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "taef2_encoder.pth").write_bytes(b"nonsense")
    with pytest.raises(ValueError, match=r"taef2_encoder.pth cannot be read as taef2 .*download it again"):
        open_autoencoder(str(tmp_path / "half"))
    (tmp_path / "half" / "taef2_encoder.pth").unlink()
    (tmp_path / "half" / "taef2_decoder.pth").write_bytes(b"nonsense")
    with pytest.raises(FileNotFoundError, match=r"lacks taef2_encoder.pth; put both files of taef2 there"):
        open_autoencoder(str(tmp_path / "half"))
    broken = tmp_path / "broken"
    tiny_autoencoder().save_pretrained(broken)
    (broken / "diffusion_pytorch_model.safetensors").write_bytes(b"nonsense")
    with pytest.raises(ValueError, match=r"could not be loaded .*put the folder back as diffusers wrote it"):
        open_autoencoder(str(broken))
    tiny_autoencoder(in_channels=1, out_channels=1).save_pretrained(tmp_path / "grey")
    assert json.loads((tmp_path / "grey" / "config.json").read_text())["in_channels"] == 1
    with pytest.raises(ValueError, match="takes images of 1 channels; give one of RGB images"):
        open_autoencoder(str(tmp_path / "grey"))
