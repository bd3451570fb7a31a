"""The tangling scores on ways whose tangle is known."""

import pytest
import torch
from torch import Tensor

from immiscible_diffusion.analysis.tangling import neighbour_turnover, shared_goals

WAYS, STEPS = 60, 9


def places(seed: int = 0) -> Tensor:
    return torch.randn(WAYS, 2, generator=torch.Generator().manual_seed(seed))


def between(start: Tensor, end: Tensor, above: float = 0.0) -> Tensor:
    """Straight ways from start to end, [S, N, D]."""
    share = torch.linspace(0, 1, STEPS)[:, None, None]
    return start + share * (end - start)


def test_parallel_ways_are_untangled() -> None:
    ways = between(places(), places() + torch.tensor([10.0, 0.0]))
    assert shared_goals(ways) == 0
    assert neighbour_turnover(ways).tolist() == [0] * STEPS


def test_ways_through_one_point_share_it_and_are_shuffled_if_they_lead_elsewhere() -> None:
    through = torch.cat([between(places(1), torch.zeros(WAYS, 2)), between(torch.zeros(WAYS, 2), places(2))])
    assert shared_goals(through) == 1
    assert neighbour_turnover(through)[0] > 0.8  # by chance 1 − 5/59 = 0.92


def test_a_fan_shares_its_goals_but_keeps_its_neighbours() -> None:
    fan = between(places() * 1e-3, places())
    assert shared_goals(fan) == 1
    assert neighbour_turnover(fan).max() < 0.01


def test_shuffled_ways_that_never_meet_share_nothing() -> None:
    far = torch.eye(WAYS)  # in as many dimensions as there are ways, all pairs equally far
    ways = torch.stack(
        [
            far * 3,
            far * 3 + 0.1 * torch.randn(WAYS, WAYS),
            far.roll(7, 0) + 0.01 * places() @ torch.ones(2, WAYS),
        ]
    )
    assert shared_goals(ways) == 0


def test_turnover_by_chance() -> None:
    many = torch.randn(2, 400, 5, generator=torch.Generator().manual_seed(0))
    assert neighbour_turnover(many)[0] == pytest.approx(1 - 5 / 399, abs=0.01)


def test_scores_do_not_hang_on_place_or_scale() -> None:
    ways = between(places(1), places(2)) + 0.3 * torch.randn(STEPS, WAYS, 2)
    moved = ways * 7 + 3
    assert shared_goals(moved) == shared_goals(ways)
    assert neighbour_turnover(moved).tolist() == neighbour_turnover(ways).tolist()


def test_one_image_for_all_is_no_tangle_to_speak_of() -> None:
    assert shared_goals(torch.zeros(3, 10, 4)) == 0


@pytest.mark.parametrize("shape", [(3, 4), (1, 10, 2), (3, 2, 5)])
def test_what_is_no_bundle_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"trajectories must be \[S, N, D\]"):
        shared_goals(torch.zeros(shape))
    with pytest.raises(ValueError, match="of 7 or more ways"):
        neighbour_turnover(torch.zeros(3, 6, 2))
