"""How far a Gaussian draw has to be moved to be where the winner of k draws would be."""

import math
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import scipy.special
import torch
from torch import Tensor

from immiscible_diffusion.pairing.closest import closest_candidate

Rule = Literal["l2", "dot"]
# An image shorter than this has no direction that could matter: 2‖x‖a is lost in the rounding of ‖n‖².
NO_DIRECTION = 1e-12


def winning_move(
    k: float,
    rule: Rule,
    norm: Tensor,
    product: Tensor,
    squares: Tensor,
    dimension: Tensor,
    generator: torch.Generator | None,
) -> tuple[Tensor, Tensor]:
    """Find s and m, by which a draw z becomes the winner n = s z + m x, for every row.

    k, rule: as in `Nearest`. norm: ‖x‖. product: ⟨z, x⟩. squares: ‖z‖². dimension: D, at least 0. All [B] and
    float64 (float32 where the device has no other).
    Returns s [B], m [B].
    """
    aligned = norm > NO_DIRECTION
    inverse = torch.where(aligned, 1 / norm, 0.0)
    projection = product * inverse  # a₀
    norm = torch.where(aligned, norm, 0.0)
    if rule == "dot":
        wanted = torch.where(aligned, _largest_normal(k, projection, generator), projection)
        return torch.ones_like(projection), (wanted - projection) * inverse
    remainder = (squares - projection.square()).clamp(min=torch.finfo(norm.dtype).tiny)  # c₀
    wanted, rest = closest_candidate(int(k) - 1, norm, dimension.clamp(min=1), generator)
    # With no direction to project on, the whole of the noise is "the rest".
    rest = torch.where(aligned, rest, rest + wanted.square())
    wanted = torch.where(aligned, wanted, 0.0)
    own_score = projection.square() + remainder - 2 * norm * projection
    keep = own_score <= wanted.square() + rest - 2 * norm * wanted  # z is the k-th candidate
    keep |= dimension == 0
    wanted = torch.where(keep, projection, wanted)
    # rsqrt, because torch wakes its threads for sqrt, however few the rows.
    stretch = torch.where(keep, 1.0, (remainder / rest).rsqrt())
    return stretch, (wanted - stretch * projection) * inverse


def _largest_normal(k: float, like: Tensor, generator: torch.Generator | None) -> Tensor:
    """Draw the largest of k standard normals, for any real k ≥ 1: Φ⁻¹(U^(1/k))."""
    uniform = torch.rand(like.shape, dtype=like.dtype, device=like.device, generator=generator)
    uniform = uniform.clamp(min=torch.finfo(like.dtype).tiny)
    if like.device.type != "cpu" or torch.compiler.is_compiling():
        largest: Tensor = _quantile(uniform.log() / k, torch, torch.special.ndtri)
        return largest
    # NumPy's and scipy's functions, because torch wakes its threads for each, however few the rows.
    return torch.from_numpy(_quantile(np.log(uniform.numpy()) / k, np, scipy.special.ndtri))


def _quantile(log_probability: Any, kind: Any, normal_quantile: Callable[[Any], Any]) -> Any:
    """Φ⁻¹(e^p), each tail from its own side: 1 − e^p is not representable near 0, nor e^p near 1."""
    lower = normal_quantile(kind.exp(log_probability))
    upper = -normal_quantile(-kind.expm1(log_probability))
    return kind.where(log_probability < -math.log(2), lower, upper)
