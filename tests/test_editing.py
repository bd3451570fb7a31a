"""Painting a hole: what is known stays, and what is painted agrees with it."""

import math
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor

from immiscible_diffusion.editing import inpaint, inpainting_steps, pixel_space, repaint
from immiscible_diffusion.masks import box_mask, centre_mask, image_mask
from immiscible_diffusion.networks import build_network
from immiscible_diffusion.objectives import EDM, Diffusion, FlowMatching, Objective, mixing_scales
from immiscible_diffusion.sampling import sample

OBJECTIVES: list[Objective] = [Diffusion(), Diffusion("v", "cosine"), FlowMatching(), EDM()]


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class GaussianNetwork:
    """The best possible network for data N(0, covariance), whatever the objective predicts."""

    def __init__(self, objective: Objective, covariance: Tensor) -> None:
        self.objective, self.covariance = objective, covariance

    def __call__(self, noisy: Tensor, time: Tensor, condition: Tensor | None) -> Tensor:
        own, total = time[:1], 1.0
        if isinstance(self.objective, FlowMatching):
            own = own / 1000
        if isinstance(self.objective, EDM):  # it is given ln σ and a noisy point of unit variance
            own = (own / 250).exp()
            total = float(torch.hypot(own, torch.tensor(self.objective.sigma_data)))
            noisy = noisy * total
        signal, spread = mixing_scales(self.objective, own, noisy)
        mixed = signal**2 * self.covariance + spread**2 * torch.eye(len(self.covariance))
        clean = noisy @ torch.linalg.solve(mixed, signal * self.covariance)
        noise = noisy @ torch.linalg.inv(mixed) * spread
        if isinstance(self.objective, FlowMatching):
            return noise - clean
        if isinstance(self.objective, EDM):
            kept = (self.objective.sigma_data / total) ** 2
            return (clean - kept * noisy) * total / (own * self.objective.sigma_data)
        return noise if self.objective.prediction == "epsilon" else signal * noise - spread * clean  # type: ignore[attr-defined]


@pytest.mark.parametrize("objective", OBJECTIVES, ids=repr)
def test_a_perfect_model_paints_the_conditional_distribution(objective: Objective) -> None:
    """Two pixels, correlation 0.9, one known to be 1.5: the other is N(1.35, 0.19)."""
    covariance = torch.tensor([[1.0, 0.9], [0.9, 1.0]])
    clean = torch.tensor([[1.5, math.nan]]).expand(1500, 2)
    hole = torch.tensor([False, True])
    network = GaussianNetwork(objective, covariance)
    means, variances = [], []
    for resampling in (1, 3, 12):
        painted = inpaint(
            objective, network, clean, hole, 50, generator=seeded(), resampling=resampling, batch_size=1500
        )
        assert torch.equal(painted[:, 0], clean[:, 0])
        means.append(abs(float(painted[:, 1].mean()) - 1.35))
        variances.append(abs(float(painted[:, 1].var()) - 0.19))
    assert means[0] > means[1] > means[2], means
    # What is left is the bias of 50 steps: the last one ends at the mean of what it has not seen.
    assert means[2] < 0.08 and variances[2] < 0.08, (means, variances)


@pytest.mark.parametrize("objective", OBJECTIVES, ids=repr)
@pytest.mark.parametrize("churn", [0.0, 1.0])
def test_without_anything_known_it_samples_the_data(objective: Objective, churn: float) -> None:
    covariance = torch.tensor([[1.0, 0.5], [0.5, 0.7]])
    network = GaussianNetwork(objective, covariance)
    painted = inpaint(
        objective,
        network,
        torch.zeros(4000, 2),
        torch.ones(2, dtype=torch.bool),
        300 if isinstance(objective, EDM) else 100,  # its steps begin at 80 times the noise
        generator=seeded(),
        churn=churn,
        batch_size=4000,
    )
    assert (torch.cov(painted.T) - covariance).abs().max() < 0.08


@pytest.mark.parametrize("objective", OBJECTIVES, ids=repr)
def test_without_churn_and_anything_known_it_is_the_plain_sampler(objective: Objective) -> None:
    network = GaussianNetwork(objective, torch.eye(2))
    nothing, everything = torch.zeros(6, 2), torch.ones(2, dtype=torch.bool)
    plain = sample(objective, network, torch.randn(6, 2, generator=seeded()), 7)
    for churn, same in ((0.0, True), (1.0, False)):
        painted = inpaint(objective, network, nothing, everything, 7, generator=seeded(), churn=churn)
        assert torch.allclose(painted, plain, atol=1e-5) == same


def test_every_known_byte_comes_back() -> None:
    for image_std in (0.5, 0.33):
        space = pixel_space(image_std)
        network = build_network("mlp", (3, 8, 8))
        pixels = torch.randint(256, (5, 3, 8, 8), generator=seeded(), dtype=torch.uint8)
        hole = centre_mask((8, 8), 0.5)
        edited = repaint(FlowMatching(), network, space, pixels, hole, 3, generator=seeded(), resampling=2)
        assert torch.equal(edited[:, :, ~hole], pixels[:, :, ~hole])
        assert not torch.equal(edited[:, :, hole], pixels[:, :, hole])
        other = pixels.masked_fill(hole, 7)  # what was in the hole is never looked at
        again = repaint(FlowMatching(), network, space, other, hole, 3, generator=seeded(), resampling=2)
        assert torch.equal(again, edited)


def test_the_network_is_called_as_often_as_said() -> None:
    calls = []

    def network(noisy: Tensor, time: Tensor, condition: Tensor | None) -> Tensor:
        calls.append(condition)
        return 0 * noisy

    labels = torch.arange(2)
    steps = list(
        inpainting_steps(
            FlowMatching(),
            network,
            torch.zeros(2, 1, 4, 4),
            centre_mask((4, 4), 0.5),
            5,
            generator=seeded(),
            resampling=3,
            condition=labels,
        )
    )
    assert len(steps) == 5 and len(calls) == (5 - 1) * 3 + 1
    assert all(torch.equal(call, labels) for call in calls)


def test_masks(tmp_path: Path) -> None:
    assert box_mask((4, 6), (1, 2, 3, 5)).nonzero().tolist() == [
        [row, column] for row in (1, 2) for column in (2, 3, 4)
    ]
    assert torch.equal(centre_mask((8, 8), 0.5), box_mask((8, 8), (2, 2, 6, 6)))
    grey = Image.new("L", (12, 8))
    grey.paste(255, (4, 2, 10, 6))  # left, top, right, bottom
    grey.save(tmp_path / "mask.png")
    assert torch.equal(image_mask((4, 6), tmp_path / "mask.png"), box_mask((4, 6), (1, 2, 3, 5)))


@pytest.mark.parametrize("box", [(0, 0, 0, 2), (0, 0, 5, 2), (-1, 0, 2, 2), (2, 0, 1, 2)])
def test_a_box_outside_is_refused(box: tuple[int, int, int, int]) -> None:
    with pytest.raises(ValueError, match="inside the image of 4×4"):
        box_mask((4, 4), box)


def test_bad_input_is_explained(tmp_path: Path) -> None:
    for share in (0.0, 1.0, 0.01, 0.99):
        with pytest.raises(ValueError, match="centre"):
            centre_mask((8, 8), share)
    Image.new("L", (8, 8)).save(tmp_path / "black.png")
    with pytest.raises(ValueError, match="is all black at 8×8; paint"):
        image_mask((8, 8), tmp_path / "black.png")
    (tmp_path / "text.png").write_text("no image")
    with pytest.raises(ValueError, match="cannot be read as an image"):
        image_mask((8, 8), tmp_path / "text.png")
    clean = torch.zeros(1, 1, 8, 8)
    with pytest.raises(ValueError, match="must be bool"):
        inpainting_steps(FlowMatching(), lambda *_: clean, clean, torch.ones(8, 8), 2, generator=seeded())
    hole = torch.ones(8, 8, dtype=torch.bool)
    with pytest.raises(ValueError, match="resampling must be 1"):
        inpaint(FlowMatching(), lambda *_: clean, clean, hole, 2, generator=seeded(), resampling=0)
    with pytest.raises(ValueError, match="churn"):
        inpaint(FlowMatching(), lambda *_: clean, clean, hole, 2, generator=seeded(), churn=2)
    with pytest.raises(ValueError, match="does not fit"):
        inpaint(FlowMatching(), lambda *_: clean, clean, hole[:5], 2, generator=seeded())
