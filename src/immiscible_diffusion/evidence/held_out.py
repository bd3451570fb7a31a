"""Is a gain one in copying? The same images measured against real ones that were not trained on."""

from statistics import mean

from torch import Tensor

from immiscible_diffusion.comparison import formatting as say
from immiscible_diffusion.data.images import load_images
from immiscible_diffusion.evidence.effects import shown_again
from immiscible_diffusion.evidence.result import HELD_OUT, Again, Result
from immiscible_diffusion.experiment import Experiment


def held_out_images(experiment: Experiment) -> Tensor | None:
    """Load images of an experiment's data that it does not train on, uint8 [N, C, H, W].

    Those after its `rows`, or the split "test"; None for all of the digits, which have no more.
    """
    if experiment.rows is not None:
        return _load(experiment, "train")[experiment.rows :]
    return None if experiment.data == "digits" else _load(experiment, "test")


def _load(experiment: Experiment, split: str) -> Tensor:
    return load_images(
        experiment.data,
        split=split,
        image_column=experiment.image_column,
        resolution=experiment.resolution,
        bad_data=experiment.bad_data,
    ).pixels


def held_out_changes(results: dict[str, Result]) -> str:
    """Each pairing's change, at few evaluations and at many, against training images and against others."""
    lines = [line for name, result in results.items() for line in _lines(name, result)]
    if not lines:
        return ""
    opening = (
        "**Does a gain last against images that were not trained on?** Change against vanilla, few "
        "evaluations → many, when the same images are measured against the training images, and against "
        "images held out, of which training saw none; then vanilla's and the pairing's distance to those, "
        "and that of as many training images, which copies of them would have. What is a gain in the first "
        "column only is one in copying.\n\n"
        "| comparison, pairing | training images | held out | vanilla, held out | pairing, held out | "
        "training images, held out |\n|---|---:|---:|---:|---:|---:|\n"
    )
    return opening + "\n".join(lines)


def _lines(name: str, result: Result) -> list[str]:
    comparison = result.comparison
    few, *_, many = comparison.evaluations
    base, found = comparison.baseline, dict[tuple[str, str], list[Again]]()
    for one in result.again:
        if (one.start, one.features) == ("gaussian", comparison.feature_network):
            found.setdefault((one.pairing, one.real), []).append(one)
    if (base, HELD_OUT) not in found or result.held_out is None:
        return []

    def change(pairing: str, real: str, evaluations: int) -> str:
        vanilla = {one.seed: one.frechet[evaluations] for one in found[base, real]}
        return shown_again(found[pairing, real], vanilla, evaluations)

    def distance(pairing: str, evaluations: int) -> str:
        return say.number(mean(one.frechet[evaluations] for one in found[pairing, HELD_OUT]))

    lines = []
    for pairing in dict.fromkeys(pairing for pairing, real in found if real == HELD_OUT and pairing != base):
        cells = [f"{change(pairing, r, few)} → {change(pairing, r, many)}" for r in ("training", HELD_OUT)]
        cells += [f"{distance(one, few)} → {distance(one, many)}" for one in (base, pairing)]
        lines.append(f"| {name}, {pairing} | {' | '.join(cells)} | {say.number(result.held_out)} |")
    return lines
