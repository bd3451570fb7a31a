"""Batch linear assignment (paper §3.3.1): one Gaussian draw, permuted to lie near the batch's images."""

import functools
import logging
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from immiscible_diffusion.pairing.blocks import assign_in_blocks
from immiscible_diffusion.pairing.checks import as_rows, check_clean, mask_rows, measured
from immiscible_diffusion.pairing.independent import gaussian_like
from immiscible_diffusion.pairing.solvers import Solver, describe, solve, solver_for

logger = logging.getLogger(__name__)


@torch.no_grad()
def assign(
    clean: Tensor,
    noise: Tensor,
    *,
    mask: Tensor | None = None,
    solver: Solver = "auto",
    block: int | None = None,
) -> Tensor:
    """Find the permutation of `noise` with the least total squared distance to `clean`.

    clean, noise: [B, ...], same shape and device; mask as in `Pairing`; solver, block as in `Assigned`.
    Returns int64 [B] on the same device: `noise[indices]` belongs row by row to `clean`.
    Without `block` it is exact, for costs in float32 (in float64 for float64 and for very short rows).
    Raises ValueError where shapes or devices differ or a value is not finite.
    """
    check_clean(clean, None)
    check_clean(noise, None)
    if noise.shape != clean.shape or noise.device != clean.device:
        raise ValueError(
            f"noise has shape {tuple(noise.shape)} on {noise.device}, clean has {tuple(clean.shape)} on "
            f"{clean.device}; they must agree"
        )
    counts = mask_rows(mask, clean)
    if len(clean) < 2:
        return torch.arange(len(clean), device=clean.device)
    if block is None or len(clean) <= block:
        return _exactly(clean, noise, counts, solver)
    _announce_blocks(block)
    clean_rows = _counted(clean, counts, "clean")
    return assign_in_blocks(
        clean_rows,
        as_rows(noise),
        block,
        lambda rows, columns: _exactly(
            clean[rows], noise[columns], None if counts is None else counts[rows], solver
        ),
    )


def _exactly(clean: Tensor, noise: Tensor, counts: Tensor | None, solver: Solver) -> Tensor:
    columns = solve(assignment_cost(clean, noise, counts).cpu().numpy(), solver)
    return torch.from_numpy(columns).to(clean.device)


@functools.cache
def _announce_blocks(block: int) -> None:
    logger.info("larger batches are assigned in blocks of %d rows, near the optimum but not at it", block)


def assignment_cost(clean: Tensor, noise: Tensor, counts: Tensor | None) -> Tensor:
    """What every image [B, ...] would cost with every noise [N, ...], up to constants, in one matrix product.

    counts: bool [B, D] or None. Returns [B, N].
    """
    with torch.autocast(clean.device.type, enabled=False):
        clean_rows = _counted(clean, counts, "clean")  # [B, D]
        noise_rows = _counted(noise, None, "noise")
        precise = torch.promote_types(clean_rows.dtype, noise_rows.dtype)
        clean_rows, noise_rows = clean_rows.to(precise), noise_rows.to(precise)
        # ‖x − n‖² = ‖x‖² + ‖n‖² − 2⟨x, n⟩; the norms add the same to every permutation.
        if counts is None:
            return -(clean_rows @ noise_rows.T)
        # The part of ‖n‖² that counts depends on the row it is given to.
        kept = counts.to(precise)
        spread: Tensor = kept @ noise_rows.square().T - 2 * clean_rows @ noise_rows.T
        return spread


def _counted(batch: Tensor, counts: Tensor | None, name: str) -> Tensor:
    """The finite rows [B, D] that the cost is taken on, zero where masked."""
    rows = as_rows(batch)
    return measured(rows if counts is None else rows.masked_fill(~counts, 0.0), name)[0]


@dataclass(frozen=True)
class Assigned:
    """Permute the batch's Gaussian noise so that the total squared distance to the images is least.

    solver: "auto" takes the quickest of those installed for the size of the batch, and its `repr` says
        which; "scipy" or "lapx" insist on one. The permutation is the same.
    block: larger batches are cut into blocks of at most so many rows that belong together, each of them
        solved exactly (`blocks.py`): near the optimum, in time linear in the rows. None is always exact.
    Raises ValueError for an unknown solver or a block under 2, ImportError for a solver not installed.
    """

    solver: Solver = "auto"
    block: int | None = None

    def __post_init__(self) -> None:
        solver_for(2, self.solver)
        if self.block is not None and self.block < 2:
            raise ValueError(f"block must be 2 rows or more, or None for the exact optimum, got {self.block}")

    def __repr__(self) -> str:
        blocks = "" if self.block is None else f", block={self.block}"
        return f"Assigned(solver={self.solver!r}: {describe(self.solver)}{blocks})"

    @torch.no_grad()
    def __call__(
        self,
        clean: Tensor,
        *,
        generator: torch.Generator | None = None,
        condition: Any = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        """Draw noise for `clean` [B, ...]; see `Pairing`. The rows are those of `Independent`, reordered."""
        check_clean(clean, generator)
        _counted(clean, mask_rows(mask, clean), "clean")  # before anything is drawn
        noise = gaussian_like(clean, generator).to(clean.dtype)
        return noise[assign(clean, noise, mask=mask, solver=self.solver, block=self.block)]
