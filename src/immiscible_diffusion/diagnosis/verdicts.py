"""What the measures come to, and what to do about it."""

from typing import NamedTuple

from immiscible_diffusion.diagnosis.mixture import Mixture

ERRORS = 4.0  # standard errors that a difference must stand out by
SHORTFALL = 0.15  # of the prediction, that may be missing before it is called weak


class Measured(NamedTuple):
    """Change of the distance in per cent with its error, what was predicted, and of how many images."""

    change: float
    error: float
    predicted: float | None
    independent: bool
    rows: int
    batch_size: int


def verdict(measured: Measured, target: Mixture | None, noisy: Mixture | None) -> tuple[bool, str]:
    """Whether all is well, and a sentence with the remedy where not. The worst comes first."""
    if target is not None and not target.agrees and not target.added:
        return False, (
            "WRONG TARGET: the loss compares with something that is not made of this noise and these images. "
            "Pair once, before the target and the noisy images are formed, and use that noise for both"
        )
    if noisy is not None and not noisy.agrees and not noisy.added:
        return False, (
            "WRONG NOISE: the noisy images are not made of this noise. Pair once, before they are formed "
            "(pairing inside q_sample or add_noise leaves the target behind)"
        )
    if measured.independent:
        return False, "NOT SELECTING, as asked: independent noise is vanilla training. Name a pairing"
    missing = 0.0 if measured.predicted is None else measured.change - measured.predicted
    stands_out = measured.change < -ERRORS * measured.error
    if not stands_out:
        return _unseen(measured)
    if missing > ERRORS * measured.error and missing > SHORTFALL * abs(measured.predicted or 0.0):
        return False, (
            f"SELECTING TOO WEAKLY: {measured.change / (measured.predicted or 1):.0%} of what was predicted. "
            "Distances in half precision, noise chosen for other rows or images of another scale do this: "
            "choose in float32, for the images that the network sees"
        )
    if -missing > ERRORS * measured.error and -missing > SHORTFALL * abs(measured.predicted or 0.0):
        return False, (
            "NEARER THAN PREDICTED: another pairing or k than was named, or noise that is shorter than "
            "Gaussian. Name the pairing that drew it, and pass the noise before anything is done to it"
        )
    return True, "HEALTHY: noise is being selected" + (" as predicted" if measured.predicted else "")


def _unseen(measured: Measured) -> tuple[bool, str]:
    expected = measured.predicted
    if expected is not None and abs(expected) <= 2 * ERRORS * measured.error:
        if expected == 0:
            return False, "NOT SELECTING: this pairing moves no noise (k = 1, or a batch of 1)"
        # The error falls with the root of the rows.
        needed = int(measured.rows * (2 * ERRORS * measured.error / max(abs(expected), 1e-6)) ** 2) + 1
        return False, f"CANNOT TELL from {measured.rows:,} images; pass {needed:,} or more"
    return False, (
        "NOT SELECTING: the noise is as far from its images as independent noise. Call the pairing on these "
        "images in place of torch.randn_like, and let nothing reorder or redraw it afterwards"
    )
