"""Every refusal: what was wrong, with its value, and what to do; and nothing drawn before it."""

import math
import re
from collections.abc import Callable

import pytest
import torch

from immiscible_diffusion.pairing import Assigned, Independent, Nearest, assign
from immiscible_diffusion.pairing.checks import check_clean

NAN = math.nan


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        (
            {"k": 0},
            ValueError,
            "k must be a finite number of candidates from 1 up, got 0; k=1 is plain noise",
        ),
        ({"k": 0.99, "rule": "dot"}, ValueError, "from 1 up, got 0.99"),
        ({"k": -8}, ValueError, "got -8"),
        ({"k": NAN}, ValueError, "k must be a finite number of candidates from 1 up, got nan"),
        ({"k": math.inf, "rule": "dot"}, ValueError, "got inf"),
        (
            {"k": 2.5},
            ValueError,
            "k must be a whole number for rule='l2', got 2.5; rule='dot' takes any real k",
        ),
        ({"k": "8"}, TypeError, "k must be a number, got '8'; e.g. Nearest(k=8)"),
        ({"k": True}, TypeError, "k must be a number, got True"),
        ({"rule": "dott"}, ValueError, "unknown rule 'dott'; did you mean 'dot'? valid: dot, l2"),
        ({"rule": "L2"}, ValueError, "unknown rule 'L2'; did you mean 'l2'? valid: dot, l2"),
        ({"rule": "cosine"}, ValueError, "unknown rule 'cosine'; valid: dot, l2"),
        ({"centre": "bach"}, ValueError, "centre must be None, a tensor or 'batch', got 'bach'"),
        (
            {"centre": torch.tensor([0.0, NAN])},
            ValueError,
            "centre has a NaN or infinite value; pass the mean",
        ),
    ],
    ids=str,
)
def test_nearest_refuses_a_wrong_configuration(options: dict, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=re.escape(text)):
        Nearest(**options)


def bad_row(value: float, row: int) -> torch.Tensor:
    clean = torch.ones(4, 3, 8, 8)
    clean[row, 2, 1, 5] = value
    return clean


PAIRINGS = {
    "independent": Independent(),
    "nearest": Nearest(),
    "dot": Nearest(rule="dot"),
    "assigned": Assigned(),
}
CHOOSING = {name: pairing for name, pairing in PAIRINGS.items() if name != "independent"}
IMAGES = torch.ones(4, 3, 8, 8)

FOR_ALL: list[tuple[str, dict, type[Exception], str]] = [
    ("no tensor", {"clean": [[1.0]]}, TypeError, "clean must be a torch.Tensor, got list; convert it first"),
    ("0-d", {"clean": torch.tensor(1.0)}, ValueError, "got shape (); for a single image use clean[None]"),
    (
        "1-d",
        {"clean": torch.ones(7)},
        ValueError,
        "clean must have a batch dimension and at least one more, got shape (7,)",
    ),
    ("bytes", {"clean": IMAGES.byte()}, TypeError, "got torch.uint8; scale the images to floats first"),
    (
        "integers",
        {"clean": IMAGES.long()},
        TypeError,
        "clean must be float16, bfloat16, float32 or float64, got torch.int64",
    ),
    ("complex", {"clean": IMAGES.to(torch.complex64)}, TypeError, "got torch.complex64"),
    (
        "mask shape",
        {"clean": IMAGES, "mask": torch.ones(5, dtype=torch.bool)},
        ValueError,
        "mask has shape (5,), which does not fit clean of shape (4, 3, 8, 8); its sizes must be",
    ),
    (
        "mask trailing",
        {"clean": IMAGES, "mask": torch.ones(8, 8, dtype=torch.bool)},
        ValueError,
        "mask has shape (8, 8)",
    ),
    (
        "mask rank",
        {"clean": IMAGES, "mask": torch.ones(4, 3, 8, 8, 1, dtype=torch.bool)},
        ValueError,
        "mask has shape (4, 3, 8, 8, 1)",
    ),
    ("mask 0-d", {"clean": IMAGES, "mask": torch.tensor(True)}, ValueError, "mask has shape ()"),
    (
        "mask dtype",
        {"clean": IMAGES, "mask": torch.ones(4)},
        TypeError,
        "mask must be bool (True where an element counts), got torch.float32; use mask.bool()",
    ),
    (
        "mask device",
        {"clean": IMAGES, "mask": torch.ones(4, dtype=torch.bool, device="meta")},
        ValueError,
        "mask is on meta but clean is on cpu; use mask.to(clean.device)",
    ),
    (
        "clean device",
        {"clean": IMAGES.to("meta")},
        ValueError,
        "generator is on cpu but clean is on meta; make it with torch.Generator('meta')",
    ),
]

FOR_CHOOSING: list[tuple[str, dict, type[Exception], str]] = [
    (
        "nan",
        {"clean": bad_row(NAN, 2)},
        ValueError,
        "clean has a NaN or infinite value in row 2 (1 of 4 rows are bad); remove or repair these images",
    ),
    ("inf", {"clean": bad_row(math.inf, 0)}, ValueError, "in row 0"),
    ("-inf", {"clean": bad_row(-math.inf, 3)}, ValueError, "in row 3"),
    ("half", {"clean": bad_row(1e6, 1).half()}, ValueError, "in row 1"),
    (
        "first of many",
        {"clean": torch.ones(4, 3).index_fill(0, torch.tensor([1, 3]), NAN)},
        ValueError,
        "in row 1 (2 of 4 rows are bad)",
    ),
    (
        "counted nan",
        {"clean": bad_row(NAN, 2), "mask": torch.ones(4, dtype=torch.bool)},
        ValueError,
        "in row 2",
    ),
    (
        "too large",
        {"clean": 1e200 * torch.ones(4, 9, dtype=torch.float64)},
        ValueError,
        "clean is so large in row 0 that its squared norm overflows; scale it down",
    ),
]

FOR_NEAREST: list[tuple[str, Nearest, torch.Tensor, str]] = [
    (
        "centre shape",
        Nearest(centre=torch.zeros(3, 8, 7)),
        IMAGES,
        "centre has shape (3, 8, 7), which does not broadcast to one image of shape (3, 8, 8)",
    ),
    (
        "centre with a batch dimension",
        Nearest(centre=torch.zeros(1, 3, 8, 8)),
        IMAGES,
        "centre has shape (1, 3, 8, 8)",
    ),
    ("channels last", Nearest(centre=torch.zeros(3)), IMAGES, "centre has shape (3,)"),
    (
        "batch of one",
        Nearest(centre="batch"),
        IMAGES[:1],
        "centre='batch' needs at least 2 rows, got batch size 1",
    ),
]


def refused_before_drawing(call: Callable[..., object], error: type[Exception], text: str, **given) -> None:
    generator = torch.Generator().manual_seed(1)
    state = generator.get_state()
    torch_state = torch.get_rng_state()
    with pytest.raises(error, match=re.escape(text)):
        call(**given, generator=generator)
    assert torch.equal(generator.get_state(), state), "the generator was used before the error"
    assert torch.equal(torch.get_rng_state(), torch_state)


@pytest.mark.parametrize("pairing", PAIRINGS.values(), ids=PAIRINGS)
@pytest.mark.parametrize(
    ("given", "error", "text"), [case[1:] for case in FOR_ALL], ids=[c[0] for c in FOR_ALL]
)
def test_every_pairing_refuses(pairing, given: dict, error: type[Exception], text: str) -> None:
    refused_before_drawing(pairing, error, text, **given)


@pytest.mark.parametrize("pairing", CHOOSING.values(), ids=CHOOSING)
@pytest.mark.parametrize(
    ("given", "error", "text"), [case[1:] for case in FOR_CHOOSING], ids=[c[0] for c in FOR_CHOOSING]
)
def test_what_cannot_be_chosen_by_is_refused(pairing, given: dict, error: type[Exception], text: str) -> None:
    refused_before_drawing(pairing, error, text, **given)


@pytest.mark.parametrize(
    ("pairing", "clean", "text"), [case[1:] for case in FOR_NEAREST], ids=[c[0] for c in FOR_NEAREST]
)
def test_a_centre_that_fits_no_image_is_refused(pairing: Nearest, clean: torch.Tensor, text: str) -> None:
    refused_before_drawing(pairing, ValueError, text, clean=clean)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU; this machine has none")
def test_generator_on_another_device() -> None:
    with pytest.raises(ValueError, match="generator is on cpu but clean is on cuda:0"):
        Nearest()(IMAGES.cuda(), generator=torch.Generator())


class _Elsewhere:
    """Stands in for a CUDA generator: only its device is looked at before anything is drawn."""

    def __init__(self, device: str) -> None:
        self.device = torch.device(device)


def test_devices_are_the_same_place_unless_their_indices_differ() -> None:
    with pytest.raises(ValueError, match=r"generator is on cuda:1 but clean is on cpu; .*Generator\('cpu'\)"):
        check_clean(IMAGES, _Elsewhere("cuda:1"))  # type: ignore[arg-type]
    meta = IMAGES.to("meta")
    for same in ("meta", "meta:0"):
        check_clean(meta, _Elsewhere(same))  # type: ignore[arg-type]


def test_assign_refuses_noise_that_does_not_match() -> None:
    for noise, text in [
        (
            torch.ones(4, 3, 8, 7),
            "noise has shape (4, 3, 8, 7) on cpu, clean has (4, 3, 8, 8) on cpu; they must agree",
        ),
        (torch.ones(3, 3, 8, 8), "noise has shape (3, 3, 8, 8)"),
        (IMAGES.to("meta"), "on meta, clean has (4, 3, 8, 8) on cpu"),
        (bad_row(NAN, 2), "noise has a NaN or infinite value in row 2"),
    ]:
        with pytest.raises(ValueError, match=re.escape(text)):
            assign(IMAGES, noise)
    with pytest.raises(TypeError, match=r"got torch\.int64"):
        assign(IMAGES, IMAGES.long())
