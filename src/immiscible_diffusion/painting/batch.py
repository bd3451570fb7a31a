"""The same holes painted by several models: images, a side-by-side sheet, scores."""

import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from immiscible_diffusion.atomic_files import write_text
from immiscible_diffusion.data.images import ImageData
from immiscible_diffusion.evaluation import FeatureNetwork, hole_psnr, prepare_reference, score_edits
from immiscible_diffusion.masks import Task, coarser_hole, marked_hole
from immiscible_diffusion.painting.originals import Originals, Source, load_originals
from immiscible_diffusion.painting.painters import Painter, Walk
from immiscible_diffusion.pictures import save_sheet
from immiscible_diffusion.randomness import derived_seed
from immiscible_diffusion.text_to_image.generation import spread_rows

Report = Callable[[str], None]
SHEET_SIDE = 64  # pixels that smaller images are enlarged to


def chosen_hole(
    painters: Sequence[Painter],
    task: Task,
    centre: float | None = None,
    box: tuple[int, int, int, int] | None = None,
    mask: Path | None = None,
) -> Tensor:
    """Return the hole, bool [H, W], as `marked_hole` does, having checked that all painters can paint it."""
    hole = marked_hole(painters[0].shape[1:], task, centre, box, mask)
    for painter in painters:
        if painter.shape == painters[0].shape:  # others are refused when images are there to compare with
            coarser_hole(hole, painter.factor)
    return hole


def chosen_originals(
    painters: Sequence[Painter], source: Source | None, count: int, prompt: str | None
) -> tuple[ImageData, Originals]:
    """Load real images to measure distances to, and those to edit, with what all painters need of them.

    source: of the images to edit; None for the first painter's own training data, which distances are
    measured to in any case where it has some, and to the images to edit where it has none.
    Raises ValueError where a painter cannot paint such images, and where there is nothing to load.
    """
    first = painters[0]
    prompts = any(painter.needs == "prompts" for painter in painters)
    if first.own is None and source is None:
        raise ValueError(
            f"--images must be given: {first.name!r} is a pipeline, which has no data of its own"
        )
    if first.own is not None:
        real, originals = first.own(count)
        if prompt is not None:
            originals = dataclasses.replace(originals, texts=(prompt,) * len(originals.pixels))
        elif prompts and originals.texts is None and source is None:
            source = first.source
    if source is not None:
        given, originals = load_originals(
            source, count, first.resolution, first.shape[0], prompts=prompts, prompt=prompt
        )
        real = given if first.own is None else real
    for painter in painters:
        if painter.shape != tuple(originals.pixels.shape[1:]):
            raise ValueError(
                f"{painter.name!r} has images of {painter.shape}, those to edit are "
                f"{tuple(originals.pixels.shape[1:])}"
            )
        if painter.needs == "labels" and originals.labels is None:
            raise ValueError(
                f"run {painter.name!r} is class-conditional, and the images to edit have no labels"
            )
    return real, originals


def edit_images(
    painters: Sequence[Painter],
    originals: Originals,
    hole: Tensor,
    task: Task,
    real: ImageData,
    features: FeatureNetwork,
    walk: Walk,
    folder: Path,
    *,
    rows: int = 8,
    report: Report = print,
) -> dict[str, Any]:
    """Let every painter fill the hole, bool [H, W]; write images, sheet.png and edits.json, returned too.

    The first painter's images are written one by one. rows: images on the sheet, evenly spaced, whose columns
    are the original, the known part, and each painter's. Every painter gets the same noise. An interruption
    leaves the images painted so far.
    """
    pixels = originals.pixels
    reference = prepare_reference(real.pixels, features)
    mean = real.pixels.float().mean(0).round().to(torch.uint8)
    mean_psnr = hole_psnr(pixels, torch.where(hole, mean, pixels), hole)
    report(f"hole filled with the data's mean image: PSNR {mean_psnr:.2f} dB")
    results, columns = {}, [pixels, pixels.masked_fill(hole, 128)]
    for painter in painters:
        edited = painter.paint(originals, hole)
        seed = derived_seed(walk.seed, "evaluation", 2) % 2**31
        scores = score_edits(reference, pixels, edited, hole, seed=seed)
        about = ", ".join(f"{name} {value}" for name, value in painter.about.items())
        report(
            f"{painter.name} ({about}): PSNR {scores.psnr:.2f} dB, feature distance "
            f"{scores.feature_distance:.4f}, {scores.distances.distance_name} {scores.distances.frechet:.4f}"
        )
        results[painter.name] = {**painter.about, **dataclasses.asdict(scores)}
        columns.append(edited)
        if painter is painters[0]:
            for number, image in enumerate(edited):
                save_sheet(image[None], folder / "images" / f"{number:06d}.png", least_side=1)
    shown = spread_rows(len(pixels), min(rows, len(pixels)))
    sheet = torch.stack([column[shown] for column in columns], dim=1).flatten(0, 1)
    save_sheet(sheet, folder / "sheet.png", columns=len(columns), least_side=SHEET_SIDE)
    record = {
        "task": task,
        "painted_share": float(hole.float().mean()),
        "images": originals.name,
        "fingerprint": originals.fingerprint,
        "count": len(pixels),
        **dataclasses.asdict(walk),
        "mean_image_psnr": mean_psnr,
        "runs": results,
    }
    if originals.texts is not None:
        record["prompts"] = [originals.texts[row] for row in shown.tolist()]
    write_text(folder / "edits.json", json.dumps(record, indent=2, ensure_ascii=False) + "\n")
    return record
