"""How much of a condition noise tells, against scikit-learn's ridge and against what is known by design."""

import pytest
import torch
from sklearn.linear_model import Ridge

from immiscible_diffusion.pairing import Assigned
from immiscible_diffusion.pairing.skew import told_variance


def data(rows: int, size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Images that lean along three directions by a condition of three numbers."""
    generator = torch.Generator().manual_seed(0)
    condition = torch.randn(rows, 3, generator=generator)
    directions = torch.linalg.qr(torch.randn(size, 3, generator=generator))[0]
    clean = 4 * condition @ directions.T + 0.5 * torch.randn(rows, size, generator=generator)
    return clean, condition


def test_few_elements_are_all_regressed_on() -> None:
    clean, condition = data(600, 20)
    noise = Assigned()(clean, generator=torch.Generator().manual_seed(1))
    half = 300
    model = Ridge(alpha=1.0).fit(noise[:half].double().numpy(), condition[:half].double().numpy())
    error = ((model.predict(noise[half:].double().numpy()) - condition[half:].double().numpy()) ** 2).sum()
    spread = (condition[half:] - condition[half:].mean(0)).double().square().sum()
    assert told_variance(clean, noise, condition) == pytest.approx(float(1 - error / spread), abs=1e-6)


def test_many_elements_are_seen_where_images_vary_with_the_condition() -> None:
    clean, condition = data(1000, 3000)
    generator = torch.Generator().manual_seed(1)
    independent = torch.randn(clean.shape, generator=generator)
    assert abs(told_variance(clean, independent, condition)) < 0.05
    leaning = 0.25 * clean + independent  # of variance 1 + 1 where a condition of 1 gives 1
    assert told_variance(clean, leaning, condition) == pytest.approx(0.5, abs=0.06)
    shuffled = condition[torch.randperm(1000, generator=generator)]
    assert abs(told_variance(clean, leaning, shuffled)) < 0.05


def test_rows_are_checked() -> None:
    clean, condition = data(8, 5)
    with pytest.raises(ValueError, match="the same 6 rows or more, got 8, 8 and 7"):
        told_variance(clean, clean, condition[:7])
