"""Assignment within a condition: what it permutes, what it keeps, and that noise then tells nothing."""

import itertools

import pytest
import torch
from torch import Tensor

from immiscible_diffusion.pairing import (
    Assigned,
    AssignedWithin,
    Independent,
    Nearest,
    Pairing,
    canonical_name,
    measure_skew,
    pairing_from_name,
)
from immiscible_diffusion.pairing.within import condition_groups


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_each_class_gets_its_own_noises_back_in_the_best_order() -> None:
    clean = torch.randn(9, 2, 3, generator=seeded(1))
    labels = torch.tensor([4, 0, 4, 1, 0, 4, 0, 0, 4])
    drawn = Independent()(clean, generator=seeded())
    given = AssignedWithin()(clean, generator=seeded(), condition=labels)
    for label in (0, 1, 4):
        rows = (labels == label).nonzero()[:, 0].tolist()
        costs = [
            sum(
                float((clean[row] - drawn[other]).square().sum())
                for row, other in zip(rows, order, strict=True)
            )
            for order in itertools.permutations(rows)
        ]
        assert float((clean[rows] - given[rows]).square().sum()) == pytest.approx(min(costs), rel=1e-5)
        assert {tuple(drawn[row].flatten().tolist()) for row in rows} == {
            tuple(given[row].flatten().tolist()) for row in rows
        }


def test_one_class_is_plain_assignment() -> None:
    clean = torch.randn(12, 5, generator=seeded(1))
    mask = torch.rand(12, 5, generator=seeded(2)) < 0.7
    for counted in (None, mask, mask[:1]):
        one = AssignedWithin()(clean, generator=seeded(), condition=torch.zeros(12, dtype=int), mask=counted)
        assert torch.equal(one, Assigned()(clean, generator=seeded(), mask=counted))


def test_embeddings_are_grouped_by_likeness_in_balance() -> None:
    far = torch.arange(4).repeat(16)[torch.randperm(64, generator=seeded())]
    embeddings = torch.eye(4)[far] * 10 + 0.1 * torch.randn(64, 4, generator=seeded(1))
    groups = condition_groups(embeddings[:, None], 64, 16)
    assert torch.bincount(groups).tolist() == [16] * 4
    assert all(len(far[groups == group].unique()) == 1 for group in range(4))
    assert torch.bincount(condition_groups(torch.randn(50, 8), 50, 16)).max() <= 16
    assert torch.bincount(condition_groups(torch.ones(50, 8), 50, 16)).max() <= 16  # all prompts alike
    assert condition_groups(torch.ones(1, 8), 1, 16).tolist() == [0]


class Classes:
    """Four classes of images whose means differ, in batches."""

    def __init__(self, rows: int = 2048, classes: int = 4, size: int = 16) -> None:
        self.labels = torch.randint(classes, (rows,), generator=seeded(1))
        means = 2 * torch.randn(classes, size, generator=seeded(2))
        self.clean = means[self.labels] + torch.randn(rows, size, generator=seeded(3))

    def noise(self, pairing: Pairing, batch: int = 64) -> Tensor:
        generator = seeded(4)
        batches = zip(self.clean.split(batch), self.labels.split(batch), strict=True)
        return torch.cat([pairing(clean, generator=generator, condition=labels) for clean, labels in batches])


@pytest.mark.parametrize("classes", [2, 4, 300])
def test_noise_tells_the_class_only_where_the_pairing_can_see_it(classes: int) -> None:
    data = Classes(classes=classes)
    for blind in (Independent(), AssignedWithin()):
        skew = measure_skew(data.clean, data.noise(blind), data.labels)
        assert not skew.stands_out and skew.bits < 0.01, (blind, skew)
        assert abs(skew.accuracy - skew.chance) < 0.06
        assert skew.classes == min(classes, 16)
    assigned = measure_skew(data.clean, data.noise(Assigned()), data.labels)
    nearest = measure_skew(data.clean, data.noise(Nearest(k=8)), data.labels)
    assert assigned.stands_out and nearest.stands_out
    assert assigned.bits > nearest.bits and assigned.accuracy > assigned.chance + 0.05
    assert f"{assigned.bits:.3f}" in str(assigned) and "chance" in str(assigned)


def test_the_bound_is_near_and_never_above_the_information() -> None:
    """Two classes, noise shifted by ±shift along one axis: I is known by one integral."""
    labels = torch.arange(8192) % 2
    shift = 0.5 * (2.0 * labels - 1)
    clean = torch.randn(8192, 3, generator=seeded(1)) + shift[:, None] * torch.tensor([4.0, 0, 0])
    noise = torch.randn(8192, 3, generator=seeded(2))
    noise[:, 0] += shift
    points = torch.linspace(-8, 8, 20001)
    density = torch.distributions.Normal
    one, other = (density(mean, 1).log_prob(points).exp() for mean in (-0.5, 0.5))
    truth = float((one * (2 * one / (one + other)).log2()).sum() * (points[1] - points[0]))
    skew = measure_skew(clean, noise, labels)
    assert skew.entropy == pytest.approx(1) and skew.chance == pytest.approx(0.5)
    assert truth - 0.03 < skew.bits < truth + 3 * skew.error


def test_bad_conditions_are_explained() -> None:
    clean = torch.zeros(4, 3)
    cases = [
        (None, "condition is needed"),
        (torch.zeros(3), "must have 4 rows"),
        ("a cat", "must have 4 rows.*got str"),
        (torch.zeros(4, 2, dtype=int), r"labels \[B\]"),
        (torch.zeros(4), "embeddings"),
        (torch.full((4, 2), torch.nan), "condition has a NaN"),
    ]
    for condition, words in cases:
        generator = seeded()
        with pytest.raises(ValueError, match=words):
            AssignedWithin()(clean, generator=generator, condition=condition)
        assert torch.equal(generator.get_state(), seeded().get_state())  # nothing was drawn
    with pytest.raises(ValueError, match="group must be 2"):
        AssignedWithin(group=1)
    with pytest.raises(ValueError, match="at least 128 rows and 2 classes"):
        measure_skew(clean, clean, torch.arange(4))
    with pytest.raises(ValueError, match="must agree"):
        measure_skew(clean, clean[:2], torch.arange(4))


def test_names() -> None:
    assert pairing_from_name("assigned:within") == AssignedWithin()
    assert pairing_from_name(" Assigned:WITHIN:64") == AssignedWithin(group=64)
    assert canonical_name("assigned:within:32") == "assigned:within"
    assert canonical_name("ASSIGNED:within:064") == "assigned:within:64"
    for name, words in [
        ("assigned:wihtin", "did you mean 'within'"),
        ("assigned:within:x", "whole number"),
        ("assigned:within:8:8", "whole number"),
        ("assigned:within:1", "group must be 2"),
    ]:
        with pytest.raises(ValueError, match=words):
            canonical_name(name)
