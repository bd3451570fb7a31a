"""Assignment of more rows than an exact solver has time for: exact in blocks that belong together.

Images are halved at the median of their strongest principal component, noises at the median of the same
direction, until no block is too large; every block is then solved exactly. Measured on CIFAR-10 against the
exact optimum: docs/performance.md. Only the blocks' costs are formed: N · block of them, not N².
"""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

COMPONENTS = 8  # more than there are halvings to make of any batch that fits in memory
SAMPLE = 512  # images that the components are taken from


def assign_in_blocks(
    clean: Tensor, noise: Tensor, block: int, exact: Callable[[Tensor, Tensor], Tensor]
) -> Tensor:
    """Find a permutation of `noise` rows near the one of least total squared distance to `clean` rows.

    clean, noise: [N, D]. block: the most rows solved at once. exact: given the int64 indices of some images
        and as many noises, answers which of these noises each of these images gets.
    Returns int64 [N]; the same for the same input, nothing is drawn.
    """
    directions = principal_directions(clean)  # [D, Q]
    images, noises = clean @ directions, noise.to(directions.dtype) @ directions  # [N, Q]
    columns = torch.empty(len(clean), dtype=torch.int64, device=clean.device)
    everything = torch.arange(len(clean), device=clean.device)
    for rows, candidates in _blocks(everything, everything, images, noises, block):
        columns[rows] = candidates[exact(rows, candidates)]
    return columns


def principal_directions(rows: Tensor) -> Tensor:
    """The strongest principal components of [N, D], orthonormal, [D, Q], from evenly spaced rows."""
    sample = rows[:: max(1, len(rows) // SAMPLE)][:SAMPLE]
    sample = sample - sample.mean(dim=0)
    strength, vectors = torch.linalg.eigh(sample @ sample.T)  # [S], [S, S], ascending
    strong = strength > strength[-1] * 1e-6
    vectors = vectors[:, strong][:, -COMPONENTS:]
    directions = sample.T @ vectors
    lengths: Tensor = torch.linalg.vector_norm(directions, dim=0).clamp(min=torch.finfo(rows.dtype).tiny)
    unit: Tensor = directions / lengths
    return unit


def _blocks(
    rows: Tensor, candidates: Tensor, images: Tensor, noises: Tensor, block: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Halve where the images of a block vary most."""
    if len(rows) <= block:
        yield rows, candidates
        return
    if images.shape[1]:
        widest = int(images[rows].var(dim=0).argmax())
        rows = rows[images[rows, widest].argsort()]
        candidates = candidates[noises[candidates, widest].argsort()]
    half = len(rows) // 2
    yield from _blocks(rows[:half], candidates[:half], images, noises, block)
    yield from _blocks(rows[half:], candidates[half:], images, noises, block)
