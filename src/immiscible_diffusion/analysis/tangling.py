"""How tangled the ways from noise to image are, in numbers that no t-SNE enters.

A trajectory is the image that a network predicts at each step of a sampler, τ = S first (Eq. 2, x_pred,0).
Two questions, both answered from 0 (untangled) to 1:

- shared goals: do ways that end far apart pass through the same image? The paper reads this off the crossing
  lines of Figure 3 (c): "the same denoising goals are frequently shared between different denoising paths".
- neighbour turnover: are the ways that begin side by side those that end side by side? A bundle that fans out
  of one point shares its goals and has no turnover; one that is shuffled has both.
"""

import torch
from torch import Tensor

CLOSE = 0.05  # quantile of the distances between final images: two that are closer are taken for the same
NEIGHBOURS = 5


def shared_goals(trajectories: Tensor) -> float:
    """Of all pairs that end farther apart than the median pair, the share that was once as close as two ends
    rarely are (the 5 % closest pairs of final images).

    trajectories: [S, N, D], S steps of N ways. Returns 0 to 1. Raises ValueError for fewer than 3 ways.
    """
    _check(trajectories, 3)
    ends = torch.pdist(trajectories[-1].double())
    far = ends > ends.median()
    if not bool(far.any()):  # as where all ends are one image
        return 0.0
    near = torch.quantile(ends, CLOSE)
    closest = ends
    for step in trajectories[:-1]:
        closest = torch.minimum(closest, torch.pdist(step.double()))
    return float((closest[far] < near).double().mean())


def neighbour_turnover(trajectories: Tensor, neighbours: int = NEIGHBOURS) -> Tensor:
    """The share of each way's nearest neighbours at the end that were not among its nearest at each step.

    trajectories: [S, N, D]. neighbours: how many count as nearest. Returns float64 [S], each 0 to 1, the last
    0; by chance it is 1 − neighbours / (N − 1). Raises ValueError for too few ways.
    """
    _check(trajectories, neighbours + 2)
    at_the_end = _nearest(trajectories[-1], neighbours)
    turnover = []
    for step in trajectories:
        same = (_nearest(step, neighbours)[:, :, None] == at_the_end[:, None, :]).any(dim=2)
        turnover.append(1 - same.double().mean())
    return torch.stack(turnover)


def _nearest(points: Tensor, count: int) -> Tensor:
    distances = torch.cdist(points.double(), points.double(), compute_mode="donot_use_mm_for_euclid_dist")
    distances.fill_diagonal_(float("inf"))
    return distances.topk(count, largest=False).indices


def _check(trajectories: Tensor, fewest: int) -> None:
    if trajectories.ndim != 3 or trajectories.shape[1] < fewest or len(trajectories) < 2:
        raise ValueError(
            f"trajectories must be [S, N, D] with 2 or more steps of {fewest} or more ways, "
            f"got {list(trajectories.shape)}"
        )
