"""What every pairing promises about the tensors it takes and gives, and about randomness."""

import dataclasses

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from immiscible_diffusion.pairing import Assigned, Independent, Nearest, Pairing

PAIRINGS = [
    Independent(),
    Nearest(k=8),
    Nearest(k=300),
    Nearest(k=8, rule="dot"),
    Nearest(k=8, centre="batch"),
    Nearest(k=8, centre=torch.tensor(0.3)),
    Assigned(),
]
SHAPES = {
    "rows": (6, 3),
    "one element": (6, 1),
    "images": (5, 3, 8, 8),
    "video": (3, 4, 2, 6, 6),
    "tokens": (4, 10, 16),
    "actions": (6, 16, 7),
    "rank 7": (2, 1, 2, 1, 3, 2, 2),
}
DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
HYPOTHESIS = settings(deadline=None, derandomize=True, max_examples=60, database=None)


def seeded(seed: int, device: str = "cpu") -> torch.Generator:
    return torch.Generator(device).manual_seed(seed)


def images(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=seeded(seed)) + 0.5


pairings = pytest.mark.parametrize("pairing", PAIRINGS, ids=repr)


@pairings
def test_is_a_frozen_pairing(pairing: Pairing) -> None:
    assert isinstance(pairing, Pairing)
    assert dataclasses.is_dataclass(pairing)
    with pytest.raises(dataclasses.FrozenInstanceError):
        pairing.k = 3  # type: ignore[attr-defined]


@pairings
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_noise_has_the_shape_dtype_and_device_of_the_images(
    pairing: Pairing, shape: tuple[int, ...], dtype: torch.dtype
) -> None:
    clean = images(*shape).to(dtype)
    noise = pairing(clean, generator=seeded(1), condition=object())
    assert (noise.shape, noise.dtype, noise.device) == (clean.shape, dtype, clean.device)
    assert noise.is_contiguous() and torch.isfinite(noise).all() and not noise.requires_grad


@pairings
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_half_precision_images_get_the_noise_of_float32_rounded_once(
    pairing: Pairing, dtype: torch.dtype
) -> None:
    """Nothing on the way is done in half precision: not the draw, not the distances, not the move."""
    clean = images(16, 3, 40, 40).to(dtype)
    if isinstance(pairing, Assigned):  # chooses among rounded noises: the choice itself may differ
        assert sorted(map(tuple, pairing(clean, generator=seeded(1)).flatten(1).tolist())) == sorted(
            map(tuple, Independent()(clean, generator=seeded(1)).flatten(1).tolist())
        )
        return
    expected = pairing(clean.float(), generator=seeded(1)).to(dtype)
    assert torch.equal(pairing(clean, generator=seeded(1)), expected)


@pairings
def test_memory_layout_changes_nothing(pairing: Pairing) -> None:
    clean = images(4, 3, 8, 10)
    expected = pairing(clean, generator=seeded(1))
    wide = torch.zeros(8, 3, 8, 20)
    wide[::2, :, :, ::2] = clean
    for other in (
        clean.to(memory_format=torch.channels_last),
        wide[::2, :, :, ::2],
        clean.transpose(1, 3).contiguous().transpose(1, 3),
    ):
        assert not other.is_contiguous()
        noise = pairing(other, generator=seeded(1))
        torch.testing.assert_close(noise, expected)
        assert noise.is_contiguous()


@pairings
def test_expanded_images_may_share_memory(pairing: Pairing) -> None:
    clean = images(1, 3, 4, 4).expand(5, 3, 4, 4)
    torch.testing.assert_close(
        pairing(clean, generator=seeded(1)), pairing(clean.clone(), generator=seeded(1))
    )


@pairings
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("side", [2, 12])
@pytest.mark.parametrize("requires_grad", [False, True])
def test_images_are_left_alone_and_never_differentiated_through(
    pairing: Pairing, dtype: torch.dtype, side: int, requires_grad: bool
) -> None:
    leaf = images(4, 3, side, side).to(dtype).requires_grad_(requires_grad)
    clean = leaf * 1 if requires_grad else leaf  # a tensor with a history
    before, version = clean.detach().clone(), clean._version
    mask = torch.arange(3) < torch.tensor([1, 2, 3, 3])[:, None]
    kept = mask.clone()
    for noise in (pairing(clean, generator=seeded(1)), pairing(clean, generator=seeded(1), mask=mask)):
        assert not noise.requires_grad and noise.grad_fn is None
        assert noise.untyped_storage().data_ptr() != clean.untyped_storage().data_ptr()
    assert clean._version == version and torch.equal(clean, before) and torch.equal(mask, kept)
    assert clean.requires_grad is requires_grad and leaf.grad is None


@pairings
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32], ids=str)
def test_autocast_changes_no_value(pairing: Pairing, dtype: torch.dtype) -> None:
    clean = images(12, 3, 10, 10).to(dtype)
    mask = torch.arange(3) < (torch.arange(12) % 3 + 1)[:, None]
    for chosen in (None, mask):
        outside = pairing(clean, generator=seeded(1), mask=chosen)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            inside = pairing(clean, generator=seeded(1), mask=chosen)
        assert inside.dtype == dtype and torch.equal(inside, outside)


@pairings
@pytest.mark.parametrize("shape", [(0, 3), (0, 3, 8, 8), (0, 0), (3, 0)])
def test_nothing_in_nothing_out(pairing: Pairing, shape: tuple[int, ...]) -> None:
    assert pairing(torch.empty(shape), generator=seeded(1)).shape == shape
    assert pairing(torch.empty(shape), mask=torch.ones(shape[:1], dtype=torch.bool)).shape == shape


@pairings
def test_a_batch_of_one(pairing: Pairing) -> None:
    if getattr(pairing, "centre", None) == "batch":
        pytest.skip("the mean of a batch of one erases it; refused, see test_errors.py")
    clean = images(1, 3, 8, 8)
    noise = pairing(clean, generator=seeded(1))
    assert noise.shape == clean.shape
    if not isinstance(pairing, Nearest):
        assert torch.equal(noise, Independent()(clean, generator=seeded(1)))


@pairings
def test_all_true_mask_is_no_mask_and_its_form_does_not_matter(pairing: Pairing) -> None:
    clean = images(4, 5, 3)
    everything = pairing(clean, generator=seeded(1))
    for shape in ((4,), (4, 1), (1, 5), (1, 1, 1), (4, 5, 3)):
        mask = torch.ones(shape, dtype=torch.bool)
        torch.testing.assert_close(pairing(clean, generator=seeded(1), mask=mask), everything)
    partial = torch.rand((4, 5), generator=seeded(2)) < 0.6
    torch.testing.assert_close(
        pairing(clean, generator=seeded(1), mask=partial),
        pairing(clean, generator=seeded(1), mask=partial[:, :, None].expand(4, 5, 3)),
        rtol=0,
        atol=0,
    )


@pairings
@pytest.mark.parametrize("padding", [1e30, float("nan"), float("inf")])
def test_padding_may_hold_anything(pairing: Pairing, padding: float) -> None:
    clean = images(6, 5, 20)
    mask = torch.arange(5) < torch.tensor([1, 2, 3, 4, 5, 5])[:, None]
    zero, other = (torch.where(mask[..., None], clean, value) for value in (0.0, padding))
    noise = pairing(other, generator=seeded(1), mask=mask)
    assert torch.equal(noise, pairing(zero, generator=seeded(1), mask=mask))


@pairings
def test_a_row_without_an_element_that_counts_keeps_plain_noise(pairing: Pairing) -> None:
    clean = images(4, 5, 20)
    mask = torch.tensor([True, False, True, False])
    noise = pairing(clean, generator=seeded(1), mask=mask)
    if isinstance(pairing, Assigned):
        assert torch.isfinite(noise).all()
    else:
        assert torch.equal(noise[~mask], Independent()(clean, generator=seeded(1))[~mask])


@pairings
def test_same_generator_state_same_noise_and_the_generator_moves_on(pairing: Pairing) -> None:
    clean = images(6, 3, 8, 8)
    generator = seeded(1)
    first, second = pairing(clean, generator=generator), pairing(clean, generator=generator)
    assert torch.equal(first, pairing(clean, generator=seeded(1)))
    assert not torch.equal(first, second)
    assert not torch.equal(first, pairing(clean, generator=seeded(2)))


@pairings
def test_global_randomness_is_used_only_without_a_generator(pairing: Pairing) -> None:
    clean = images(6, 3, 8, 8)
    torch.manual_seed(5)
    state = torch.get_rng_state()
    pairing(clean, generator=seeded(1))
    assert torch.equal(torch.get_rng_state(), state)
    drawn = pairing(clean)
    assert not torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(5)
    assert torch.equal(pairing(clean), drawn)
    assert torch.equal(pairing(clean, generator=seeded(5)), drawn)


@pytest.mark.parametrize("pairing", PAIRINGS[1:4] + PAIRINGS[5:], ids=repr)
def test_row_i_belongs_to_row_i(pairing: Pairing) -> None:
    """Far from the origin every image pulls its own noise towards it, in its own direction."""
    clean = 30 * torch.eye(8).repeat_interleave(40, dim=0)  # 40 images along each axis
    noise = pairing(clean, generator=seeded(1)).view(8, 40, 8).mean(1)  # mean noise of each axis's images
    own, others = noise.diagonal(), noise[~torch.eye(8, dtype=torch.bool)]
    assert own.min() > 0.7 and others.abs().max() < 0.7


@pairings
@HYPOTHESIS
@given(
    shape=st.lists(st.integers(1, 5), min_size=2, max_size=5),
    dtype=st.sampled_from(DTYPES),
    exponent=st.integers(-30, 4),
    seed=st.integers(0, 2**40),
)
def test_any_shape_type_and_scale(
    pairing: Pairing, shape: list[int], dtype: torch.dtype, exponent: int, seed: int
) -> None:
    if getattr(pairing, "centre", None) == "batch" and shape[0] == 1:
        return
    clean = (images(*shape, seed=seed).double() * 10.0**exponent).to(dtype)
    noise = pairing(clean, generator=seeded(seed))
    assert noise.shape == clean.shape and noise.dtype == dtype
    assert torch.isfinite(noise).all() and noise.abs().max() < 12
    assert torch.equal(noise, pairing(clean, generator=seeded(seed)))


@pytest.mark.parametrize("scale", [1e18, 1e20, 1e35])
@pairings
def test_images_whose_squares_overflow_float32_still_choose(pairing: Pairing, scale: float) -> None:
    direction = images(40, 100, seed=3)
    noise = pairing(direction * scale, generator=seeded(1))
    same = pairing(direction * 1e10, generator=seeded(1))
    if isinstance(getattr(pairing, "centre", None), Tensor):
        same = pairing(direction * 1e12, generator=seeded(1))  # the centre, 0.3, must not matter
    torch.testing.assert_close(noise, same, rtol=1e-4, atol=1e-4)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU; this machine has none")
@pairings
def test_on_a_gpu(pairing: Pairing) -> None:
    clean = images(6, 3, 8, 8).cuda()
    noise = pairing(clean, generator=seeded(1, "cuda"))
    assert noise.device == clean.device
    assert torch.equal(noise, pairing(clean, generator=seeded(1, "cuda:0")))
    reference = pairing(clean.double(), generator=seeded(2, "cuda"))
    assert reference.dtype == torch.float64
