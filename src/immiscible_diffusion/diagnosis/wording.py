"""A diagnosis in ten lines."""

import math
from typing import TYPE_CHECKING

from immiscible_diffusion.diagnosis.mixture import Mixture

if TYPE_CHECKING:
    from immiscible_diffusion.diagnosis.diagnose import Diagnosis

NORMAL = 0.02  # ‖noise‖²/D further from 1 than this is worth a word
LEANING = 0.1  # as is a lean along the mean image of so many standard deviations of a draw


def lines(found: "Diagnosis") -> list[str]:
    """The ten lines, each beginning with what it is about."""
    clean, noise = found.dtypes
    left = f" ({found.left_out:,} with padding left out)" if found.left_out else ""
    parts = {
        "images": f"{found.rows:,} of {'×'.join(map(str, found.shape))}, {clean}{left}",
        "pairing": found.pairing or "not named; name it for a prediction and its cost",
        "distance": _distance(found),
        "as near as": f"nearest noise of k = {_k(found.equivalent_k)} (independent: 1)",
        "dtype": f"noise is {noise}; {_half(found)}",
        "target": _mixed(found.target, "the loss's target"),
        "noisy": _mixed(found.noisy, "the network's input"),
        "norm, mean": _bias(found),
        "cost": _cost(found),
        "verdict": found.verdict,
    }
    return [f"{name + ':':<12} {words}" for name, words in parts.items()]


def _distance(found: "Diagnosis") -> str:
    measured = f"{found.change_percent:+.2f} ± {found.standard_error:.2f} % against independent noise"
    if found.predicted_percent is None:
        return measured
    return f"{measured}; predicted {found.predicted_percent:+.2f} %"


def _k(k: float) -> str:
    return "more than a million" if math.isinf(k) else f"{k:.2f}" if k < 10 else f"{k:.0f}"


def _half(found: "Diagnosis") -> str:
    if found.bfloat16_agreement is None or found.float16_agreement is None:
        return f"{found.candidates} candidates are too large here to try half precision"
    return (
        f"of {found.candidates} candidates, distances in float16 pick the right one for "
        f"{found.float16_agreement:.0%} of images, in bfloat16 for {found.bfloat16_agreement:.0%}"
        + (" (this package chooses in float32 at least)" if found.pairing else "")
    )


def _mixed(found: Mixture | None, what: str) -> str:
    if found is None:
        return f"not given: pass {what}"
    if found.agrees:
        made = f"{found.noise:.3f} noise {'+' if found.clean >= 0 else '−'} {abs(found.clean):.3f} image"
        return f"agrees with the noise: {found.kind}" + ("" if found.spread > 0.02 else f" ({made})")
    if found.added:
        return f"this noise with something added, {found.rest:.0%} of its length (an offset, a perturbation?)"
    return f"NOT made of this noise: {found.rest:.0%} of its length is something else"


def _bias(found: "Diagnosis") -> str:
    said = (
        f"‖noise‖²/D = {found.energy:.4f} ± {found.energy_error:.4f}, "
        f"mean {found.brightness:+.4f} ± {found.brightness_error:.4f}, "
        f"along the mean image {found.along_mean:+.2f} ± {found.along_error:.2f}"
    )
    remedies = []
    if abs(found.along_mean) > max(LEANING, 4 * found.along_error):
        remedies.append("centre on the mean image")
    if abs(found.energy - 1) > max(NORMAL, 4 * found.energy_error):
        remedies.append("take a smaller k, or rule='dot'")
    return said + (f"; sampling noise has 1, 0 and 0: {' and '.join(remedies)}" if remedies else "")


def _cost(found: "Diagnosis") -> str:
    if found.milliseconds is None:
        return "not measured: name the pairing"
    return f"{found.milliseconds:.2f} ms a batch of {found.batch_size:,}, {found.ratio:.1f}× torch.randn"
