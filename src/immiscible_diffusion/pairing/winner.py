"""How far a Gaussian draw has to be moved to be where the winner of k draws would be."""

import math
from typing import Any, Literal, NamedTuple, TypeVar

import numpy as np
import scipy.special
import torch
from numpy.typing import NDArray
from torch import Tensor

from immiscible_diffusion.pairing.closest import closest_candidate

Array = TypeVar("Array", Tensor, NDArray[np.float64])
Rule = Literal["l2", "dot"]
# An image shorter than this has no direction that could matter: 2‖x‖a is lost in the rounding of ‖n‖².
NO_DIRECTION = 1e-12


class Contender(NamedTuple):
    """What the draw has to beat, or with rule "dot" become: all [B], float64 (float32 without it)."""

    projection: Tensor  # a = ⟨n, x/‖x‖⟩
    rest: Tensor  # c = ‖n‖² − a²; unused by rule "dot"


def draw_contender(
    k: float, rule: Rule, norm: Tensor, dimension: Tensor, generator: torch.Generator | None
) -> Contender:
    """Draw where the closest of k − 1 candidates lies ("l2"), or the winner of k ("dot"), for every row.

    k, rule: as in `Nearest`. norm: ‖x‖. dimension: D, at least 0. Both [B] and float64 (float32 where the
    device has no other).
    """
    if rule == "dot":
        largest = _largest_normal(k, norm, generator)
        return Contender(largest, largest)
    aligned = torch.where(norm > NO_DIRECTION, norm, 0.0)
    return Contender(*closest_candidate(int(k) - 1, aligned, dimension.clamp(min=1), generator))


def winning_move(
    rule: Rule, contender: Contender, norm: Tensor, product: Tensor, squares: Tensor
) -> tuple[Tensor, Tensor]:
    """Find s and m, by which a draw z becomes the winner n = s z + m x, for every row.

    product: ⟨z, x⟩. squares: ‖z‖². The others as in `draw_contender`, all [B].
    Returns s [B], m [B].
    """
    given = (*contender, norm, product, squares)
    if norm.device.type != "cpu" or torch.compiler.is_compiling():
        return _move(torch, rule, *given)
    # NumPy's functions, because torch wakes its threads for each root, however few the rows.
    with np.errstate(divide="ignore", invalid="ignore"):
        stretch, along = _move(np, rule, *(tensor.numpy() for tensor in given))
    return torch.from_numpy(stretch), torch.from_numpy(along)


def _move(
    kind: Any,
    rule: Rule,
    wanted: Array,
    rest: Array,
    norm: Array,
    product: Array,
    squares: Array,
) -> tuple[Array, Array]:
    aligned = norm > NO_DIRECTION
    inverse = kind.where(aligned, 1 / norm, 0.0)
    projection = product * inverse  # a₀
    if rule == "dot":
        along: Array = kind.where(aligned, wanted - projection, 0.0) * inverse
        return kind.ones_like(projection), along
    norm = kind.where(aligned, norm, 0.0)
    remainder = kind.clip(squares - projection**2, torch.finfo(torch.float32).tiny, None)  # c₀
    # With no direction to project on, the whole of the noise is "the rest".
    rest = kind.where(aligned, rest, rest + wanted**2)
    wanted = kind.where(aligned, wanted, 0.0)
    own_score = projection**2 + remainder - 2 * norm * projection
    keep = own_score <= wanted**2 + rest - 2 * norm * wanted  # z is the k-th candidate
    wanted = kind.where(keep, projection, wanted)
    stretch: Array = kind.where(keep, 1.0, kind.sqrt(rest / remainder))
    return stretch, (wanted - stretch * projection) * inverse


def _largest_normal(k: float, like: Tensor, generator: torch.Generator | None) -> Tensor:
    """Draw the largest of k standard normals, for any real k ≥ 1: Φ⁻¹(U^(1/k))."""
    uniform = torch.rand(like.shape, dtype=like.dtype, device=like.device, generator=generator)
    uniform = uniform.clamp(min=torch.finfo(like.dtype).tiny)
    if like.device.type != "cpu" or torch.compiler.is_compiling():
        largest: Tensor = _quantile(uniform.log() / k, torch)
        return largest
    # NumPy's and scipy's functions, because torch wakes its threads for each, however few the rows.
    return torch.from_numpy(_quantile(np.log(uniform.numpy()) / k, np))


def _quantile(log_probability: Any, kind: Any) -> Any:
    """Φ⁻¹(e^p), each tail from its own side: 1 − e^p is not representable near 0, nor e^p near 1."""
    normal_quantile = scipy.special.ndtri if kind is np else torch.special.ndtri
    lower = normal_quantile(kind.exp(log_probability))
    upper = -normal_quantile(-kind.expm1(log_probability))
    return kind.where(log_probability < -math.log(2), lower, upper)
