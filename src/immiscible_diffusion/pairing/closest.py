"""The closest of many Gaussian candidates, without drawing them: O(1) a row, whatever their number.

A candidate noise n of an image x enters Algorithm 1 only through a = ⟨n, x/‖x‖⟩ ~ N(0, 1) and
c = ‖n‖² − a² ~ χ²(D − 1), independent of each other: ‖x − n‖² = ‖x‖² + s with s = a² + c − 2‖x‖a.
Up to `DIRECT` candidates their (a, c) are drawn and compared. Beyond, only those below a threshold t are
drawn, exactly: each candidate "fires" with probability q = E[e^(−θs)] e^(θt) ≤ 1; one that fires is drawn
from the law tilted by e^(−θs), which is again a Gaussian and a χ², and kept with probability e^(θ(s−t)) if
s < t. What is kept has exactly the law of the candidates below t, so if any is kept, the least of them is
the least of all. If none is (a row in several hundred), the candidates are drawn one by one above t.

That last step and the number that fire have no fixed shape, which a compiled graph needs and a GPU would
have to wait for. There so many fire, into a fixed number of slots, that a row in 10^16 is left without a
survivor or a slot (up to a billion candidates); its noise is then one of the candidates, not the closest.
"""

import math
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Array = TypeVar("Array", Tensor, NDArray[np.float64])

DIRECT = 24  # up to here drawing every candidate is quickest
FIRING = 48  # candidates that fire, on average, of many: some 6 to 10 of them survive
SHARE = 0.45  # of few candidates, the share that fires
DIRECT_STATIC, FIRING_STATIC = 640, 560  # the same where shapes are fixed: 39 or more survive
OVERFLOW = 42.0  # −ln of the chance that a row has no slot for a candidate that fires


def closest_candidate(
    count: int, norm: Tensor, dimension: Tensor, generator: torch.Generator | None
) -> tuple[Tensor, Tensor]:
    """Draw (a, c) of the closest of `count` Gaussian candidates to an image, for every row.

    count: candidates, at least 1. norm: ‖x‖, float64 [B]. dimension: D, float64 [B], at least 1.
    Returns a [B], c [B]: the projection on the image's direction and the squared norm of the rest.
    """
    static = torch.compiler.is_compiling() or norm.device.type != "cpu"
    if count <= (DIRECT_STATIC if static else DIRECT):
        a = _normal((len(norm), count), norm, generator)
        c = _chi_squared(dimension, a, generator)
        return _least(a, c, _score(a, c, norm))
    thinned = _survivors_in_slots if static else _survivors
    return thinned(count, norm, dimension, generator)


def _survivors(
    count: int, norm: Tensor, dimension: Tensor, generator: torch.Generator | None
) -> tuple[Tensor, Tensor]:
    """`closest_candidate` with as many candidates in memory as fire, one row's after another's."""
    # NumPy's functions, because torch wakes its threads for each logarithm and root, however few there are.
    length, space = norm.numpy(), dimension.numpy()
    tilt, threshold, log_firing = _tilting(count, length, space, min(FIRING, SHARE * count))
    fired = torch.binomial(
        torch.full_like(norm, count), torch.full_like(norm, math.exp(log_firing)), generator=generator
    )
    row = np.repeat(np.arange(len(length)), fired.numpy().astype(np.int64))
    variance = 1 / (1 + 2 * tilt)
    a = torch.randn(row.shape, dtype=norm.dtype, generator=generator).numpy()
    a = (2 * tilt * length * variance)[row] + a * np.sqrt(variance)[row]
    shapes = torch.from_numpy((np.maximum(space - 1, 1) / 2)[row])
    c = torch._standard_gamma(shapes, generator=generator).numpy()
    c = c * np.where(space > 1, 2 * variance, 0.0)[row]
    score = a * (a - (2 * length)[row]) + c
    below = tilt[row] * (score - threshold[row])
    uniform = torch.rand(row.shape, dtype=norm.dtype, generator=generator).numpy()
    kept = np.flatnonzero((np.log(np.maximum(uniform, 1e-300)) < below) & (below < 0))
    # Worst first, so that the best of a row is written last and stays.
    kept = kept[np.argsort(-score[kept])]
    best_a, best_c = np.zeros(len(length)), np.zeros(len(length))
    survived = np.zeros(len(length), dtype=bool)
    best_a[row[kept]], best_c[row[kept]], survived[row[kept]] = a[kept], c[kept], True
    found = torch.from_numpy(best_a), torch.from_numpy(best_c)
    if not survived.all():
        empty = torch.from_numpy(np.flatnonzero(~survived))
        bound = torch.from_numpy(threshold)[empty]
        rest = _closest_above(count, norm[empty], dimension[empty], bound, generator)
        found[0][empty], found[1][empty] = rest
    return found


def _survivors_in_slots(
    count: int, norm: Tensor, dimension: Tensor, generator: torch.Generator | None
) -> tuple[Tensor, Tensor]:
    """`closest_candidate` in fixed shapes: a slot for every candidate that may fire."""
    tilt, threshold, log_firing = _tilting(count, norm, dimension, FIRING_STATIC)
    fired = torch.binomial(
        torch.full_like(norm, count), torch.full_like(norm, math.exp(log_firing)), generator=generator
    )
    slots = _slots(count, FIRING_STATIC)
    variance = 1 / (1 + 2 * tilt)
    a = _normal((len(norm), slots), norm, generator)
    a = torch.addcmul((2 * tilt * norm * variance)[:, None], a, variance.sqrt()[:, None])
    half, scale = _gamma_of(dimension, variance)
    c = torch._standard_gamma(half[:, None].expand_as(a), generator=generator) * scale[:, None]
    score = _score(a, c, norm)
    below = tilt[:, None] * (score - threshold[:, None])
    uniform = torch.rand(a.shape, dtype=a.dtype, device=a.device, generator=generator)
    kept = (uniform.log() < below) & (below < 0) & (torch.arange(slots, device=a.device) < fired[:, None])
    return _least(a, c, score.masked_fill(~kept, torch.inf))


def _slots(count: int, firing: float) -> int:
    """So many that more of `count` fire with a chance under e^−OVERFLOW (Bernstein's inequality)."""
    return min(count, math.ceil(firing + OVERFLOW / 3 + math.sqrt(OVERFLOW**2 / 9 + 2 * OVERFLOW * firing)))


def _tilting(count: int, norm: Array, dimension: Array, firing: float) -> tuple[Array, Array, float]:
    """Choose θ, t and log q for `closest_candidate`, so that q = `firing` / `count`; tensors or NumPy arrays.

    Any θ > 0 is exact; the most of those that fire survive where t is the mean of s once tilted.
    """
    kind: Any = torch if isinstance(norm, Tensor) else np
    target = math.log(count / firing)
    energy = norm**2
    # −ln q at that t is the rate D/2 (ln w − 1 + 1/w) + 2‖x‖²θ²/w² with w = 1 + 2θ. Its second term is at
    # most ‖x‖²/2 and, like the first, quadratic for a small θ: two lower bounds for θ, then Newton in ln θ.
    tilt = kind.maximum(
        _inverse_rate(2 * target / (dimension + 2 * energy), kind),
        _inverse_rate(kind.clip(2 * target - energy, 0, None) / dimension, kind),
    )
    for _ in range(2 if count > 4 * firing else 0):  # the bounds alone do for few
        w = 1 + 2 * tilt
        share = tilt / w
        rate = dimension * (kind.log1p(2 * tilt) / 2 - share) + 2 * energy * share**2
        slope = share**2 * (2 * dimension + 4 * energy / w)
        tilt = tilt * kind.exp(kind.clip((target - rate) / slope, -1, 1))
    w = 1 + 2 * tilt
    # ln E[e^(−θs)] = −D/2 ln w + 2θ²‖x‖²/w
    threshold = (dimension / 2 * kind.log1p(2 * tilt) - 2 * tilt**2 * energy / w - target) / tilt
    return tilt, threshold, -target


def _inverse_rate(u: Array, kind: Any) -> Array:
    """About the θ at which ln w − 1 + 1/w = u, w = 1 + 2θ."""
    about: Array = kind.expm1(u - kind.expm1(-kind.sqrt(2 * u))) / 2
    return about


def _closest_above(
    count: int, norm: Tensor, dimension: Tensor, threshold: Tensor, generator: torch.Generator | None
) -> tuple[Tensor, Tensor]:
    """Draw the closest of `count` candidates given that every one of them scores `threshold` or more."""
    missing = torch.full_like(norm, count)
    best = torch.full_like(norm, torch.inf)
    best_a, best_c = torch.zeros_like(norm), torch.zeros_like(norm)
    width = min(4096, count + count // 2)
    while bool((missing > 0).any()):
        a = _normal((len(norm), width), norm, generator)
        c = _chi_squared(dimension, a, generator)
        score = _score(a, c, norm)
        above = score >= threshold[:, None]
        counted = above & (above.cumsum(dim=1) <= missing[:, None])
        missing = missing - counted.sum(dim=1)
        score = score.masked_fill(~counted, torch.inf)
        a, c = _least(a, c, score)
        least = score.amin(dim=1)
        better = least < best
        best_a, best_c = torch.where(better, a, best_a), torch.where(better, c, best_c)
        best = torch.minimum(best, least)
    return best_a, best_c


def _score(a: Tensor, c: Tensor, norm: Tensor) -> Tensor:
    return a * (a - 2 * norm[:, None]) + c  # ‖x − n‖² − ‖x‖²


def _least(a: Tensor, c: Tensor, score: Tensor) -> tuple[Tensor, Tensor]:
    index = score.argmin(dim=1, keepdim=True)
    return a.gather(1, index)[:, 0], c.gather(1, index)[:, 0]


def _normal(shape: tuple[int, int], like: Tensor, generator: torch.Generator | None) -> Tensor:
    return torch.randn(shape, dtype=like.dtype, device=like.device, generator=generator)


def _chi_squared(dimension: Tensor, like: Tensor, generator: torch.Generator | None) -> Tensor:
    """χ²(D − 1) for every row, in the shape of `like` [B, k]."""
    half, scale = _gamma_of(dimension, torch.ones_like(dimension))
    return torch._standard_gamma(half[:, None].expand_as(like), generator=generator) * scale[:, None]


def _gamma_of(dimension: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
    """The shape and scale of `variance` · χ²(D − 1), which is 0 where D = 1."""
    # torch.distributions.Gamma takes no generator, so the function that it calls is called with these.
    return (dimension - 1).clamp(min=1) / 2, torch.where(dimension > 1, 2 * variance, 0.0)
