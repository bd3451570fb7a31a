"""The Triton kernels under Triton's CPU interpreter: the law of `Nearest`, and nothing but it."""

import importlib
import importlib.util
import logging
import math
import os
import subprocess
import sys
from types import ModuleType

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from immiscible_diffusion.pairing import Nearest

if importlib.util.find_spec("triton") is None:
    pytest.skip("triton is not installed", allow_module_level=True)
if not torch.cuda.is_available():
    # Triton reads it when first imported, which any later test may do: so at collection.
    os.environ["TRITON_INTERPRET"] = "1"


@pytest.fixture(scope="module")
def kernels() -> ModuleType:
    return importlib.import_module("immiscible_diffusion.pairing.kernels")


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def moved_by(stretch: float, along: float):
    return lambda norm, *_: (torch.full_like(norm, stretch), torch.full_like(norm, along))


def test_the_kernel_draws_standard_normals_and_the_same_ones_again(kernels) -> None:
    clean = torch.randn((5, 2, 37, 61), generator=seeded(1))  # 4,514 elements: two parts, the second short
    seen = {}

    def move(norm: Tensor, product: Tensor, squares: Tensor, dimension: Tensor) -> tuple[Tensor, Tensor]:
        seen.update(norm=norm, product=product, squares=squares, dimension=dimension)
        return torch.ones_like(norm), torch.zeros_like(norm)

    noise = kernels.fused_noise(clean, move, seeded(2), None)
    assert noise.shape == clean.shape
    assert stats.kstest(noise.flatten().numpy(), "norm").pvalue > 1e-3
    assert len(noise.unique()) > 0.99 * noise.numel()
    rows, drawn = clean.flatten(1).double(), noise.flatten(1).double()
    torch.testing.assert_close(seen["norm"], rows.norm(dim=1), rtol=1e-5, atol=0)
    torch.testing.assert_close(seen["product"], (rows * drawn).sum(1), rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(seen["squares"], drawn.square().sum(1), rtol=1e-5, atol=0)
    assert seen["dimension"].tolist() == [4514] * 5
    lagged = np.corrcoef(noise.flatten(1).numpy())
    assert np.abs(lagged - np.eye(5)).max() < 4.5 / math.sqrt(4514)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("centred", [False, True])
def test_the_kernel_moves_by_what_it_is_told(dtype: torch.dtype, centred: bool, kernels) -> None:
    clean = torch.randn((3, 4, 20), generator=seeded(1)).to(dtype)
    centre = torch.linspace(-1, 1, 80) if centred else None
    plain = kernels.fused_noise(clean, moved_by(1, 0), seeded(2), centre)
    moved = kernels.fused_noise(clean, moved_by(0.5, 2), seeded(2), centre)
    towards = clean.float() - (centre.view(4, 20) if centred else 0)
    assert moved.dtype == dtype
    tolerance = {torch.float32: 1e-5, torch.bfloat16: 0.06, torch.float16: 8e-3}[dtype]
    torch.testing.assert_close(moved.float(), 0.5 * plain.float() + 2 * towards, rtol=0, atol=tolerance)


def test_noisy_and_target_are_those_of_the_noise(kernels) -> None:
    clean = torch.randn((4, 3, 30), generator=seeded(1))
    centre = torch.linspace(-1, 1, 90)
    time = torch.tensor([0.1, 0.4, 0.7, 1.0])
    noise = kernels.fused_noise(clean, moved_by(0.9, 0.1), seeded(2), centre)
    one = torch.ones_like(time)
    noisy, target = kernels.fused_training_pair(
        clean, moved_by(0.9, 0.1), seeded(2), centre, (1 - time, time), (-one, one)
    )
    weight = time[:, None, None]
    torch.testing.assert_close(noisy, (1 - weight) * clean + weight * noise, rtol=0, atol=1e-5)
    torch.testing.assert_close(target, noise - clean, rtol=0, atol=1e-5)


@pytest.mark.parametrize(("k", "rule"), [(8, "l2"), (4096, "l2"), (8, "dot")])
def test_fused_nearest_has_the_law_of_nearest(k: int, rule: str) -> None:
    clean = 0.7 * torch.randn((1, 3, 5, 5), generator=seeded(1)).expand(250, -1, -1, -1)
    centre = torch.full((3, 1, 1), 0.2)
    fused = Nearest(k=k, rule=rule, centre=centre, fused=True)(clean, generator=seeded(2))
    plain = Nearest(k=k, rule=rule, centre=centre)(clean.repeat(8, 1, 1, 1), generator=seeded(3))
    direction = (clean[0] - centre).flatten()
    direction = direction / direction.norm()
    for observe in (
        lambda n: n.flatten(1) @ direction,
        lambda n: n.flatten(1).square().sum(1),
        lambda n: n.flatten(1)[:, 7],
    ):
        assert stats.ks_2samp(observe(fused).numpy(), observe(plain).numpy()).pvalue > 1e-3 / 9


def test_the_generator_decides_and_moves_on() -> None:
    clean = torch.randn((3, 3, 5, 5), generator=seeded(1))
    pairing, generator = Nearest(k=8, fused=True), seeded(4)
    first, second = pairing(clean, generator=generator), pairing(clean, generator=generator)
    assert torch.equal(first, pairing(clean, generator=seeded(4)))
    assert not torch.equal(first, second)


def test_the_path_is_visible(kernels, caplog: pytest.LogCaptureFixture) -> None:
    assert repr(Nearest(fused=True)) == "Nearest(k=8, rule='l2', centre=None, fused=True)"
    kernels._announce.cache_clear()
    with caplog.at_level(logging.INFO, logger=kernels.__name__):
        Nearest(fused=True)(torch.randn(2, 10))
        Nearest(fused=True)(torch.randn(2, 10))
    assert [r.getMessage() for r in caplog.records] == [
        "nearest noise is drawn by a Triton kernel under the interpreter"
    ]


def test_what_the_kernel_cannot_do_is_refused() -> None:
    clean = torch.randn(3, 10)
    with pytest.raises(
        ValueError, match=r"mask is not supported by the fused kernel; use Nearest\(fused=False\)"
    ):
        Nearest(fused=True)(clean, mask=torch.ones(3, 10, dtype=torch.bool))
    clean[1, 3] = float("nan")
    with pytest.raises(ValueError, match="clean has a NaN, infinite or far too large value in row 1"):
        Nearest(fused=True)(clean)


def test_images_off_the_gpu_are_refused_not_quietly_done_elsewhere() -> None:
    program = (
        "import torch\nfrom immiscible_diffusion.pairing import Nearest\n"
        "try:\n    Nearest(fused=True)(torch.randn(2, 10))\nexcept ValueError as error:\n    print(error)\n"
    )
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    result = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False
    )
    expected = "fused=True needs images on an NVIDIA GPU, got cpu; use Nearest(fused=False) there\n"
    assert result.stdout == expected, result.stderr


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU; this machine has none")
def test_on_a_gpu() -> None:
    clean = torch.randn((64, 3, 32, 32), device="cuda")
    noise = Nearest(k=64, fused=True)(clean, generator=torch.Generator("cuda").manual_seed(1))
    plain = Nearest(k=64)(clean, generator=torch.Generator("cuda").manual_seed(1))
    assert stats.ks_2samp(noise.flatten().cpu().numpy(), plain.flatten().cpu().numpy()).pvalue > 1e-3
