"""Choosing on a pooled view: Algorithm 1 in the view's dimensions, and nothing else touched."""

import re

import pytest
import torch
from scipy import stats
from tests.pairing.algorithm_1 import nearest_of_k
from torch import Tensor

from immiscible_diffusion.pairing import Independent, Nearest, canonical_name, pairing_from_name
from immiscible_diffusion.pairing.views import pooled, spread

ROWS = 4000


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def one_image(*shape: int) -> Tensor:
    return torch.randn((1, *shape), generator=seeded(5)) + 0.4


def test_pooling_is_an_orthonormal_projection() -> None:
    images = torch.randn((3, 2, 5, 4, 6), generator=seeded(1))
    rows = pooled(images, 2)
    assert rows.shape == (3, 2 * 5 * 2 * 3)
    seen = spread(rows, images, 2)
    torch.testing.assert_close(pooled(seen, 2), rows)
    torch.testing.assert_close(seen.flatten(1).norm(dim=1), rows.norm(dim=1))
    torch.testing.assert_close(seen[0, 0, 0, :2, :2], images[0, 0, 0, :2, :2].mean().expand(2, 2))


@pytest.mark.parametrize("centre", [None, torch.tensor(0.3)], ids=["uncentred", "centred"])
def test_the_view_gets_the_nearest_of_k_and_the_rest_plain_noise(centre: Tensor | None) -> None:
    clean = one_image(2, 4, 4).expand(ROWS, 2, 4, 4)
    noise = Nearest(k=6, view=2, centre=centre)(clean, generator=seeded(1))
    chosen_on = pooled(clean if centre is None else clean - centre, 2)
    literal = nearest_of_k(chosen_on, 6, generator=seeded(2))
    for measure in (
        lambda n: (n - chosen_on).norm(dim=1),
        lambda n: n.norm(dim=1),
        lambda n: (n * chosen_on).sum(dim=1),
    ):
        assert stats.ks_2samp(measure(pooled(noise, 2)), measure(literal)).pvalue > 1e-3
    unseen = noise - spread(pooled(noise, 2), noise, 2)
    assert stats.kstest(unseen.square().sum((1, 2, 3)), stats.chi2(32 - 8).cdf).pvalue > 1e-3


@pytest.mark.parametrize("shape", [(3, 8, 12), (2, 3, 4, 8)], ids=["images", "video"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
def test_what_the_view_does_not_see_stays_as_drawn(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    clean = torch.randn((5, *shape), generator=seeded(1)).to(dtype)
    noise = Nearest(k=16, view=4)(clean, generator=seeded(2))
    assert noise.dtype == dtype and noise.shape == clean.shape
    moved = (noise - Independent()(clean, generator=seeded(2))).float()
    assert moved.abs().amax() > 0.05
    if dtype != torch.bfloat16:  # whose rounding is as large as the move
        torch.testing.assert_close(moved, spread(pooled(moved, 4), moved, 4), atol=2e-6, rtol=0)


def test_k_1_is_plain_noise_and_blocks_of_one_are_no_view() -> None:
    clean = torch.randn((6, 3, 4, 4), generator=seeded(1))
    plain = Independent()(clean, generator=seeded(2))
    assert torch.equal(Nearest(k=1, view=2)(clean, generator=seeded(2)), plain)
    torch.testing.assert_close(
        Nearest(k=8, view=1)(clean, generator=seeded(2)), Nearest(k=8)(clean, generator=seeded(2))
    )


@pytest.mark.parametrize(
    ("shape", "text"),
    [
        ((2, 3, 9, 6), "view=2 must divide the height and width of the images, got 9×6; use view=3"),
        ((2, 3, 7, 6), "got 7×6; use view=None, or crop"),
        ((2, 8, 8), "view=2 pools images [B, C, ..., H, W], got shape (2, 8, 8); use view=None"),
    ],
)
def test_images_without_whole_blocks_are_refused_before_drawing(shape: tuple[int, ...], text: str) -> None:
    generator = seeded(1)
    before = generator.get_state()
    for k in (1, 8):
        with pytest.raises(ValueError, match=re.escape(text)):
            Nearest(k=k, view=2)(torch.zeros(shape), generator=generator)
    assert torch.equal(generator.get_state(), before)


def test_other_refusals() -> None:
    with pytest.raises(ValueError, match="pooling factor from 1 up, got 0"):
        Nearest(view=0)
    with pytest.raises(TypeError, match=re.escape("whole pooling factor, got 2.0")):
        Nearest(view=2.0)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="view=2 is not supported by the fused kernel"):
        Nearest(view=2, fused=True)
    clean = torch.zeros(2, 1, 4, 4)
    with pytest.raises(ValueError, match="mask cannot be combined with view=2"):
        Nearest(view=2)(clean, mask=torch.ones(2, dtype=torch.bool))
    with pytest.raises(ValueError, match="NaN or infinite value in row 1"):
        Nearest(view=2)(torch.stack([clean[0], clean[1] + torch.nan]))


@pytest.mark.parametrize(
    ("name", "canonical", "view"),
    [
        ("nearest:coarse4", "nearest:8:coarse4", 4),
        ("nearest:coarse2:dot:batch:3", "nearest:3:dot:batch:coarse2", 2),
        ("nearest:8:coarse1", "nearest:8", None),
    ],
)
def test_names(name: str, canonical: str, view: int | None) -> None:
    assert canonical_name(name) == canonical == canonical_name(canonical)
    assert pairing_from_name(name, torch.zeros(1)).view == view  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("nearest:8:coarse", "did you mean 'coarse4'"),
        ("nearest:coarse2:coarse4", "gives its view twice"),
        ("nearest:coarse0", "pooling factor from 1 up, got 0"),
        ("assigned:coarse2", "unknown option in pairing 'assigned:coarse2'"),
    ],
)
def test_refused_names(name: str, text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(text)):
        canonical_name(name)
