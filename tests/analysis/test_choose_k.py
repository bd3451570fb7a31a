"""Choosing k: the rule, what it was calibrated on, and its names."""

from pathlib import Path

import pytest

from immiscible_diffusion.analysis.choose_k import BUDGETS, CALIBRATION, choose_k, recommended
from immiscible_diffusion.analysis.clean_images import load_clean
from immiscible_diffusion.analysis.gaussianity import predicted_shifts


def test_the_largest_k_within_the_budget() -> None:
    rows = [{"k": k, "shift": shift} for k, shift in ((1, 0.0), (2, 0.4), (4, 0.9), (8, 1.2))]
    assert [recommended(rows, budget) for budget in (0.1, 0.9, 1.0, 2.0)] == [1, 4, 4, 8]
    assert recommended(rows[2:], 0.5) == 1


def test_every_budget_reproduces_what_it_was_calibrated_on() -> None:
    for point in CALIBRATION:
        assert point.shift <= BUDGETS[point.prediction] < point.shift_at_twice


def test_calibration_shifts_are_those_of_the_data(shared_data: Path) -> None:
    """On 2,000 test images; the table has all 50,000."""
    cifar10 = load_clean(str(shared_data / "cifar10" / "test.parquet"), rows=2000)
    latents = load_clean("gaussian:4x32x32", rows=500)
    for point in CALIBRATION:
        images = latents if "latents" in point.data else cifar10
        for factor, shift in ((1, point.shift), (2, point.shift_at_twice)):
            measured = predicted_shifts(images, [(factor * point.best_k, "l2")], None)[0]["shift"]
            assert measured == pytest.approx(shift, abs=0.03)


def test_digits_get_a_k_and_a_caveat() -> None:
    digits = load_clean("digits", rows=600)
    found = choose_k(digits, "flow", "l2", "uncentred", (1, 2, 4, 8, 16), samples=40)
    assert found.values["recommended_k"] == 4 and found.sentence.startswith("Take k = 4")
    assert (
        "one number set by 1 best k" in found.sentence and "compare before you trust it" in found.warnings[0]
    )
    rows = found.values["rows"]
    assert all(row["information"] + row["distortion"] == pytest.approx(row["choice"]) for row in rows)
    over = choose_k(digits, "epsilon", "l2", "uncentred", (64, 256), samples=4)
    assert over.values["recommended_k"] == 1 and over.sentence.startswith(
        "Do not choose noise this way: k = 64"
    )
    by_product = choose_k(digits, "epsilon", "dot", "centred", (2, 8), samples=4)
    assert by_product.sentence.startswith("No k up to 8 is over the budget")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"prediction": "eps"}, "unknown prediction 'eps'; did you mean 'epsilon'"),
        ({"rule": "l1"}, "unknown rule 'l1'"),
        ({"centring": "centered"}, "unknown centring 'centered'"),
        ({"ks": (0,)}, r"k must be numbers of 1 or more, got \[0\]"),
        ({"samples": 1}, "samples must be 2 or more, got 1"),
    ],
)
def test_bad_arguments_are_named(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        choose_k(load_clean("digits", rows=20), **arguments)
