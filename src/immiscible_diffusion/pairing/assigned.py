"""Batch linear assignment (paper §3.3.1): one Gaussian draw, permuted to lie near the batch's images."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from immiscible_diffusion.pairing.checks import as_rows, check_clean, mask_rows, measured
from immiscible_diffusion.pairing.independent import gaussian_like
from immiscible_diffusion.pairing.solvers import Solver, describe, solve, solver_for


@torch.no_grad()
def assign(clean: Tensor, noise: Tensor, *, mask: Tensor | None = None, solver: Solver = "auto") -> Tensor:
    """Find the permutation of `noise` with the least total squared distance to `clean`.

    clean, noise: [B, ...], same shape and device; mask as in `Pairing`; solver as in `Assigned`.
    Returns int64 [B] on the same device: `noise[indices]` belongs row by row to `clean`.
    The optimum is exact, of a cost matrix in float32 (float64 for float64 and for very short rows).
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
    cost, norms = assignment_cost(clean, noise, counts)
    columns = solve(cost.cpu().numpy(), norms.cpu().numpy(), solver)
    return torch.from_numpy(columns).to(clean.device)


def assignment_cost(clean: Tensor, noise: Tensor, counts: Tensor | None) -> tuple[Tensor, Tensor]:
    """What every image [B, ...] would cost with every noise [N, ...], up to constants, in one matrix product.

    counts: bool [B, D] or None. Returns the cost [B, N] and the image norms [B].
    """
    with torch.autocast(clean.device.type, enabled=False):
        clean_rows, norms = _counted(clean, counts, "clean")  # [B, D], [B]
        noise_rows, _ = _counted(noise, None, "noise")
        precise = torch.promote_types(clean_rows.dtype, noise_rows.dtype)
        clean_rows, noise_rows = clean_rows.to(precise), noise_rows.to(precise)
        # ‖x − n‖² = ‖x‖² + ‖n‖² − 2⟨x, n⟩; the norms add the same to every permutation.
        if counts is None:
            return -(clean_rows @ noise_rows.T), norms
        # The part of ‖n‖² that counts depends on the row it is given to.
        kept = counts.to(precise)
        return kept @ noise_rows.square().T - 2 * clean_rows @ noise_rows.T, norms


def _counted(batch: Tensor, counts: Tensor | None, name: str) -> tuple[Tensor, Tensor]:
    """The finite rows [B, D] that the cost is taken on, zero where masked, and their norms."""
    rows = as_rows(batch)
    return measured(rows if counts is None else rows.masked_fill(~counts, 0.0), name)


@dataclass(frozen=True)
class Assigned:
    """Permute the batch's Gaussian noise so that the total squared distance to the images is least.

    solver: "auto" takes the quickest of those installed for the size of the batch, and its `repr` says
        which; "scipy", "lapx" or "lapjv" insist on one. The permutation is the same.
    Raises ValueError for an unknown solver, ImportError for one that is not installed.
    """

    solver: Solver = "auto"

    def __post_init__(self) -> None:
        solver_for(2, self.solver)

    def __repr__(self) -> str:
        return f"Assigned(solver={self.solver!r}: {describe(self.solver)})"

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
        return noise[assign(clean, noise, mask=mask, solver=self.solver)]
