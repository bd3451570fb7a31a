"""Semidiscrete coupling (arXiv 2509.25519; AlignFlow): noise from the image's own cell of the transport.

The duals cut the space of noises into one cell an image, each of Gaussian mass 1/N. An image's noise is
N(0, I) restricted to its cell, so that over the data set the noises are N(0, I) exactly: nothing is
shortened. A pool keeps the numbers of noises that were seen to fall into each cell; a number is the seed
that draws its noise again.
"""

import math
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from immiscible_diffusion.pairing.checks import check_clean
from immiscible_diffusion.pairing.dual_fitting import NOISES, Duals, fit_duals, picked

PER_IMAGE = 128  # noises kept for each image
DRAWN = 4096  # noises looked up at once
# An image whose mass is this many times under 1/N is not waited for.
PATIENCE = 5
# Of the largest value in the data: half-precision rounding is less, one step of a byte is more.
TOLERANCE = 1 / 256


@dataclass(frozen=True, eq=False)
class Pool:
    """Noises by number, sorted into the cells that they fall into.

    numbers: int64 [U, K], −1 where none was found yet. received: int64 [U], noises that fell into each cell.
    drawn: noises in all.
    """

    numbers: Tensor
    received: Tensor
    drawn: int = 0

    @property
    def full(self) -> bool:
        return bool((self.numbers[:, -1] >= 0).all())

    def excess(self, counts: Tensor) -> float:
        """χ² divergence of the cells' masses from what they should be, estimated without bias; about 0 to ∞.

        counts: [U], how often each image is in the data set. √χ² is the masses' relative error.
        """
        wanted, got = counts.double() / counts.double().sum(), self.received.double().to(counts.device)
        pairs = max(self.drawn * (self.drawn - 1), 1)
        return float((got * (got - 1) / wanted).sum() / pairs - 1)

    def total_variation(self, counts: Tensor) -> tuple[float, float]:
        """Total variation between the masses seen and those wanted, and what exact duals would show (the
        noise of counting alone); both 0 to 1."""
        wanted = counts.double().cpu() / counts.double().sum().cpu()
        seen = (self.received.double().cpu() / max(self.drawn, 1) - wanted).abs().sum() / 2
        chance = (wanted * (1 - wanted) / max(self.drawn, 1) * 2 / math.pi).sqrt().sum() / 2
        return float(seen), float(chance)


def begin_pool(duals: Duals, per_image: int = PER_IMAGE) -> Pool:
    """Make the empty pool of a fit. Raises ValueError for per_image under 1."""
    if per_image < 1:
        raise ValueError(f"per_image must be 1 or more, got {per_image}; {PER_IMAGE} is usual")
    empty = torch.full((len(duals.values), per_image), -1)
    return Pool(empty, torch.zeros(len(duals.values), dtype=torch.int64))


def pool_step(pool: Pool, duals: Duals) -> Pool:
    """Draw the next noises by number and sort them into cells; nothing but the duals decides the outcome.

    Raises ValueError where an image goes without noise: the duals are not fitted well enough.
    """
    rows = duals.images.flatten(1)
    first = pool.drawn
    noise = numbered_noise(torch.arange(first, first + DRAWN), rows.shape[1]).to(rows.device)
    cells = picked(noise, rows, duals.values).cpu()  # [M]
    cells, order = cells.sort(stable=True)
    # The place of each noise behind those that its cell has.
    place = torch.arange(len(cells)) - torch.searchsorted(cells, cells) + pool.received[cells]
    kept = place < pool.numbers.shape[1]
    numbers = pool.numbers.clone()
    numbers[cells[kept], place[kept]] = first + order[kept]
    received = pool.received + torch.bincount(cells, minlength=len(rows))
    grown = replace(pool, numbers=numbers, received=received, drawn=first + DRAWN)
    if not grown.full and grown.drawn > PATIENCE * len(rows) * (numbers.shape[1] + 64):
        least = int(received.argmin())
        raise ValueError(
            f"an image received {int(received[least])} of {grown.drawn} noises, where about "
            f"{grown.drawn // len(rows)} were due; fit the duals with more noises"
        )
    return grown


def numbered_noise(numbers: Tensor, dimension: int) -> Tensor:
    """Draw the noises that these numbers stand for, float32 [B, dimension], on the CPU."""
    generator, noise = torch.Generator(), torch.empty(len(numbers), dimension)
    for row, number in zip(noise, numbers.tolist(), strict=True):
        # The CPU's generator knows 2³² seeds; numbers in sequence cannot meet.
        torch.randn(dimension, generator=generator.manual_seed(number % 2**32), out=row)
    return noise


@dataclass(frozen=True, eq=False)
class Semidiscrete:
    """Give every image a noise from its own cell, one of those kept for it, picked by the generator.

    images: float32 [U, ...], those that the duals were fitted to, at any scale; with `flip`, their mirror
        images among them. numbers: int64 [U, K], of `Pool`.
    The images of a batch are found by their values, and must be among `images`.
    The same number is the same noise at every scale of the images, and on every device.
    Raises ValueError for numbers that are missing or of another length.
    """

    images: Tensor
    numbers: Tensor
    _direction: Tensor = field(init=False, repr=False)  # float64 [D]
    _keys: Tensor = field(init=False, repr=False)  # float64 [U], ascending
    _order: Tensor = field(init=False, repr=False)  # int64 [U]
    _tolerance: float = field(init=False, repr=False)

    def __post_init__(self) -> None:
        check_clean(self.images, None)
        if len(self.numbers) != len(self.images) or self.numbers.ndim != 2 or not self.numbers.numel():
            raise ValueError(
                f"numbers must be [images, K], got shape {tuple(self.numbers.shape)} for "
                f"{len(self.images)} images; take both from one fit"
            )
        if int(self.numbers.min()) < 0:
            raise ValueError("numbers has gaps: its pool is not full; go on with pool_step")
        rows = self.images.flatten(1)
        direction = torch.randn(rows.shape[1], generator=torch.Generator().manual_seed(0)).double()
        keys, order = torch.cat([part.cpu().double() @ direction for part in rows.split(4096)]).sort()
        tolerance = TOLERANCE * float(rows.abs().max())
        found = {"_direction": direction, "_keys": keys, "_order": order, "_tolerance": tolerance}
        for name, value in found.items():
            object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        images, kept = self.numbers.shape
        return f"Semidiscrete({images:,} images, {kept} noises each)"

    @torch.no_grad()
    def __call__(
        self,
        clean: Tensor,
        *,
        generator: torch.Generator | None = None,
        condition: Any = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        """Draw noise for `clean` [B, ...]; see `Pairing`. Draws a whole number a row, not a Gaussian.

        Raises ValueError for an image that is not among those fitted to, and for a mask.
        """
        check_clean(clean, generator)
        if mask is not None:
            raise ValueError("mask is not supported by Semidiscrete: its cells are of whole images; use None")
        if clean.shape[1:] != self.images.shape[1:]:
            raise ValueError(
                f"clean has images of shape {tuple(clean.shape[1:])}, but the duals were fitted to "
                f"{tuple(self.images.shape[1:])}; fit them to these images"
            )
        kept = self.numbers.shape[1]
        chosen = torch.randint(kept, (len(clean),), device=clean.device, generator=generator).cpu()
        numbers = self.numbers[self._found(clean), chosen]
        noise = numbered_noise(numbers, self.images[0].numel()).view(clean.shape)
        wide = torch.promote_types(clean.dtype, torch.float32)
        return noise.to(clean.device, wide).to(clean.dtype)

    def _found(self, clean: Tensor) -> Tensor:
        """Which image each row is, int64 [B], on the CPU."""
        rows, images = clean.detach().flatten(1).cpu().float(), self.images.flatten(1)
        keys = rows.double() @ self._direction
        above = torch.searchsorted(self._keys, keys).clamp(max=len(images) - 1)
        below = (above - 1).clamp(min=0)
        nearer = torch.where(keys - self._keys[below] < self._keys[above] - keys, below, above)
        found = self._order[nearer]
        missed = ~(self._off(rows, found) <= self._tolerance)
        if bool(missed.any()):  # rounded to half precision, their keys lie elsewhere
            products = rows[missed].to(images.device) @ images.T - images.square().sum(dim=1) / 2
            found = found.masked_scatter(missed, products.argmax(dim=1).cpu())
            off = self._off(rows, found)
            strange = (~(off <= self._tolerance)).nonzero()
            if len(strange):
                row = int(strange[0])
                raise ValueError(
                    f"clean has in row {row} an image that the duals were not fitted to: the nearest of "
                    f"{len(images):,} differs by {float(off[row]):.3g}; fit them to the images as they are "
                    "trained on (data, scale and mirroring alike)"
                )
        return found

    def _off(self, rows: Tensor, found: Tensor) -> Tensor:
        """The largest difference of each row to the image taken for it; NaN where the row has one."""
        images = self.images.flatten(1)[found.to(self.images.device)].cpu()
        return (rows - images).abs().amax(dim=1)


def fit_semidiscrete(
    images: Tensor,
    *,
    generator: torch.Generator | None = None,
    noises: int = NOISES,
    per_image: int = PER_IMAGE,
) -> Semidiscrete:
    """Fit duals to a data set [N, ...] and keep `per_image` noises for each image; see `fit_duals`."""
    duals = fit_duals(images, generator=generator, noises=noises)
    pool = begin_pool(duals, per_image)
    while not pool.full:
        pool = pool_step(pool, duals)
    return Semidiscrete(duals.images, pool.numbers)
