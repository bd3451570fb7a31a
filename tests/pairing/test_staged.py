"""Pairing in a part of training: names, the steps it covers, and what it is called with."""

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from immiscible_diffusion.pairing import (
    Assigned,
    Independent,
    Nearest,
    Staged,
    canonical_name,
    in_force,
    is_staged,
    pairing_from_name,
)


@pytest.mark.parametrize(
    ("name", "canonical", "begin", "end"),
    [
        ("Nearest:until50:".rstrip(":"), "nearest:8:until50", 0.0, 0.5),
        ("assigned:from25", "assigned:from25", 0.25, 1.0),
        ("assigned:within:until5", "assigned:within:until5", 0.0, 0.05),
        ("nearest:4:dot:uncentred:from99", "nearest:4:dot:uncentred:from99", 0.99, 1.0),
    ],
)
def test_names(name: str, canonical: str, begin: float, end: float) -> None:
    pairing = pairing_from_name(name, torch.zeros(1, 2, 2))
    assert canonical_name(name) == canonical == canonical_name(canonical)
    assert is_staged(name) and not is_staged(canonical.rpartition(":")[0])
    assert isinstance(pairing, Staged) and (pairing.begin, pairing.end) == (begin, end)


@settings(deadline=None, derandomize=True)
@given(st.integers(1, 500), st.integers(1, 99), st.booleans())
def test_it_holds_for_its_share_of_the_steps(steps: int, percent: int, late: bool) -> None:
    pairing = Staged(Assigned(), *((percent / 100, 1.0) if late else (0.0, percent / 100)))
    kinds = [type(in_force(pairing, step / steps)) for step in range(steps)]
    wanted = steps * ((100 - percent) if late else percent) / 100
    assert abs(kinds.count(Assigned) - wanted) < 1
    changes = sum(one is not other for one, other in pairwise(kinds))
    assert changes <= 1 and set(kinds) <= {Assigned, Independent}
    assert kinds[-1 if late else 0] is Assigned or wanted < 1


def test_other_pairings_hold_throughout() -> None:
    pairing = Nearest(k=2)
    assert in_force(pairing, 0.0) is pairing is in_force(pairing, 0.99)


def test_called_it_pairs() -> None:
    images = torch.randn(8, 4, generator=torch.Generator().manual_seed(0))
    one, other = (
        pairing(images, generator=torch.Generator().manual_seed(1))
        for pairing in (Staged(Assigned(), end=0.5), Assigned())
    )
    assert torch.equal(one, other)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("assigned:until0", "must change at 1 to 99 percent of training, not at 0"),
        ("assigned:from100", "must change at 1 to 99 percent of training, not at 100"),
        ("independent:until50", "cannot be staged; only nearest and assigned can"),
        ("semidiscrete:from10", "cannot be staged; only nearest and assigned can"),
        ("assigned:from10:until50", "cannot be staged; only nearest and assigned can, once"),
        ("nearest:until", "until50"),
    ],
)
def test_refusals(name: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        canonical_name(name)


def test_a_stage_is_not_empty() -> None:
    with pytest.raises(ValueError, match="begin and end must be rising shares"):
        Staged(Assigned(), 0.5, 0.5)
