"""The semidiscrete coupling against brute force: equal masses, own cells, Gaussian over the data set."""

import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from immiscible_diffusion.pairing import (
    Duals,
    Nearest,
    Pairing,
    Semidiscrete,
    fit_duals,
    fit_semidiscrete,
    pairing_from_name,
)
from immiscible_diffusion.pairing.dual_fitting import begin_fit, picked
from immiscible_diffusion.pairing.semidiscrete import begin_pool, numbered_noise, pool_step

COUNT, SHAPE = 24, (1, 4, 4)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def some_images(count: int = COUNT) -> Tensor:
    """Images of different lengths, not around 0."""
    lengths = torch.linspace(0.3, 1.5, count)[:, None, None, None]
    return torch.randn((count, *SHAPE), generator=seeded(7)) * lengths + 0.5


@pytest.fixture(scope="module")
def duals() -> Duals:
    return fit_duals(some_images(), generator=seeded(0), noises=20_000)


@pytest.fixture(scope="module")
def pairing(duals: Duals) -> Semidiscrete:
    pool = begin_pool(duals, 400)
    while not pool.full:
        pool = pool_step(pool, duals)
    return Semidiscrete(duals.images, pool.numbers)


def cells(noise: Tensor, duals: Duals) -> Tensor:
    return picked(noise.flatten(1), duals.images.flatten(1), duals.values)


def shares(duals: Duals) -> Tensor:
    noise = torch.randn((200_000, 16), generator=seeded(9))
    return torch.bincount(cells(noise, duals), minlength=len(duals.images)) / len(noise)


def test_every_image_receives_its_share_of_the_noise(duals: Duals) -> None:
    unfitted = (shares(begin_fit(some_images())) * COUNT - 1).abs().max()
    assert unfitted > 0.3 and (shares(duals) * COUNT - 1).abs().max() < 0.05


def test_an_image_that_is_there_twice_receives_twice() -> None:
    images = torch.cat([some_images(5), some_images(5)[:1]])
    fitted = fit_duals(images, generator=seeded(0), noises=10_000)
    assert len(fitted.images) == 5 and float(fitted.counts.sum()) == 6
    torch.testing.assert_close(shares(fitted), fitted.counts / 6, atol=0.01, rtol=0)


def test_the_plan_costs_what_an_exact_solver_finds(duals: Duals) -> None:
    """Assign 100 noises to each image by linear assignment: no plan of equal masses is cheaper."""
    each = 100
    noise = torch.randn((COUNT * each, 16), generator=seeded(3))
    rows = duals.images.flatten(1).double()
    cost = torch.cdist(noise.double(), rows).square().repeat_interleave(each, dim=1).numpy()
    least = cost[linear_sum_assignment(cost)].mean()
    ours = (noise - rows[cells(noise, duals)]).square().sum(dim=1).mean()
    assert abs(float(ours) / least - 1) < 0.01
    assert float((noise - rows.repeat(each, 1)).square().sum(dim=1).mean()) / least > 1.1


def test_noise_comes_from_the_images_own_cell_and_its_law(duals: Duals, pairing: Semidiscrete) -> None:
    rows = torch.arange(COUNT).repeat(400)
    noise = pairing(duals.images[rows], generator=seeded(2))
    assert torch.equal(cells(noise, duals), rows)
    brute = torch.randn((60_000, 16), generator=seeded(11))
    where = cells(brute, duals)
    for image in (0, 11, COUNT - 1):
        own = numbered_noise(pairing.numbers[image], 16)  # without repetition, as a test of laws needs
        for direction in (duals.images[image].flatten(), torch.ones(16)):
            one, other = own @ direction, brute[where == image] @ direction
            assert stats.ks_2samp(one, other).pvalue > 1e-3
        assert stats.ks_2samp(own.norm(dim=1), brute[where == image].norm(dim=1)).pvalue > 1e-3


def test_over_the_data_set_the_noise_is_gaussian_where_nearest_is_short(
    duals: Duals, pairing: Semidiscrete
) -> None:
    every = numbered_noise(pairing.numbers.flatten(), 16)
    assert abs(float(every.square().mean()) - 1) < 0.02 and float(every.mean(dim=0).abs().max()) < 0.05
    spectrum = np.linalg.eigvalsh(np.cov(every.numpy().T))
    assert spectrum.min() > 0.9 and spectrum.max() < 1.1
    clean = duals.images.repeat(400, 1, 1, 1)
    short = Nearest(k=4, centre="batch")(clean, generator=seeded(1))
    assert float(short.square().mean()) < 0.9
    together = pairing(clean, generator=seeded(1))
    plain = torch.randn(clean.shape, generator=seeded(2))
    assert (clean - together).norm() < 0.97 * (clean - plain).norm()


def test_noise_is_a_function_of_the_generator(pairing: Semidiscrete) -> None:
    clean = pairing.images[torch.tensor([3, 1, 3, 2])]
    assert isinstance(pairing, Pairing) and pairing_from_name("semidiscrete", semidiscrete=pairing) is pairing
    generator = seeded(1)
    first, second = pairing(clean, generator=generator), pairing(clean, generator=generator)
    assert torch.equal(first, pairing(clean, generator=seeded(1))) and not torch.equal(first, second)
    assert pairing(clean[:0], generator=generator).shape == (0, *SHAPE)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64], ids=str)
def test_images_are_known_in_every_precision(pairing: Semidiscrete, dtype: torch.dtype) -> None:
    clean = pairing.images.flip(0)
    expected = pairing(clean, generator=seeded(1)).to(dtype)
    noise = pairing(clean.to(dtype).requires_grad_(), generator=seeded(1))
    assert torch.equal(noise, expected) and not noise.requires_grad


def test_scale_and_shift_of_the_images_change_no_cell(duals: Duals, pairing: Semidiscrete) -> None:
    larger = Semidiscrete(pairing.images * 4, pairing.numbers)
    assert torch.equal(
        larger(pairing.images * 4, generator=seeded(1)), pairing(pairing.images, generator=seeded(1))
    )
    other = fit_duals(some_images() * 4 - 3, generator=seeded(0), noises=20_000)
    noise = torch.randn((20_000, 16), generator=seeded(5))
    assert (cells(noise, duals) == cells(noise, other)).float().mean() > 0.98


def test_one_image_gets_any_noise() -> None:
    single = fit_semidiscrete(some_images(1), generator=seeded(0), noises=2, per_image=3)
    assert single(some_images(1), generator=seeded(1)).shape == (1, *SHAPE)


def test_numbered_noises_are_gaussian_and_know_nothing_of_each_other() -> None:
    noise = numbered_noise(torch.arange(20_000), 16)
    assert torch.equal(noise[[5, 17]], numbered_noise(torch.tensor([5, 17]), 16))
    assert stats.kstest(noise.flatten().numpy(), "norm").pvalue > 1e-3
    neighbours = (noise[1:] * noise[:-1]).mean(dim=0)
    assert float(neighbours.abs().max()) < 5 / 20_000**0.5


def test_refusals(duals: Duals, pairing: Semidiscrete) -> None:
    strange = pairing.images.clone()
    strange[2] += 0.1
    for clean, text in (
        (strange, "clean has in row 2 an image that the duals were not fitted to"),
        (pairing.images * torch.nan, "clean has in row 0 an image"),
        (
            torch.zeros(2, 1, 4, 5),
            "clean has images of shape (1, 4, 5), but the duals were fitted to (1, 4, 4)",
        ),
    ):
        with pytest.raises(ValueError, match=re.escape(text)):
            pairing(clean, generator=seeded(1))
    with pytest.raises(ValueError, match="mask is not supported by Semidiscrete"):
        pairing(pairing.images, mask=torch.ones(COUNT, dtype=torch.bool))
    with pytest.raises(ValueError, match="numbers has gaps"):
        Semidiscrete(pairing.images, begin_pool(duals).numbers)
    with pytest.raises(ValueError, match=re.escape("numbers must be [images, K], got shape (3, 400) for 24")):
        Semidiscrete(pairing.images, pairing.numbers[:3])
    with pytest.raises(ValueError, match="'semidiscrete' has to be fitted to the data set first"):
        pairing_from_name("semidiscrete")
    with pytest.raises(ValueError, match="noises must be 1 or more an image, got 0"):
        fit_duals(some_images(), noises=0)
    with pytest.raises(ValueError, match="images has a NaN"):
        fit_duals(some_images() * torch.inf)
    with pytest.raises(ValueError, match=re.escape("images must not be empty, got shape (0, 1, 4, 4)")):
        fit_duals(some_images()[:0])
    with pytest.raises(ValueError, match="per_image must be 1 or more, got 0"):
        begin_pool(duals, 0)


def test_an_image_that_no_noise_reaches_is_an_error(duals: Duals) -> None:
    hopeless = replace(duals, values=duals.values - 1e6 * (torch.arange(COUNT) == 4))
    pool = begin_pool(hopeless, 2)
    for _ in range(3):
        if pool.drawn + 4096 <= 5 * COUNT * (2 + 64):
            pool = pool_step(pool, hopeless)
    with pytest.raises(ValueError, match=r"an image received 0 of 8192 noises, where about 341 were due"):
        pool_step(pool, hopeless)
