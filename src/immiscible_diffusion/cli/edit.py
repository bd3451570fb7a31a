"""`immiscible edit`: fill a hole in images with what a run has learned."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

if TYPE_CHECKING:
    from torch import Tensor


def edit(
    run: Annotated[Path, tyro.conf.Positional],
    task: Annotated[Literal["inpaint", "outpaint"], tyro.conf.Positional],
    centre: float | None = None,
    box: tuple[int, int, int, int] | None = None,
    mask: Path | None = None,
    images: str | None = None,
    split: str = "train",
    count: int = 500,
    evaluations: int = 50,
    resampling: int = 10,
    churn: float = 1.0,
    features: str = "auto",
    weights: Path | None = None,
    against: tuple[Path, ...] = (),
    rows: int = 8,
    seed: int = 0,
    out: Path | None = None,
) -> None:
    """Paint a hole in images; writes them, a side-by-side sheet and edits.json.

    Every pixel outside the hole comes back as it was. The noise is independent Gaussian, equal for all runs.

    Args:
        run: Folder of the run.
        task: inpaint fills the marked part, outpaint everything else.
        centre: Mark the middle, as a share of height and width; 0.5 unless --box or --mask is given.
        box: Mark a box: TOP LEFT BOTTOM RIGHT in pixels, the last two exclusive.
        mask: Mark what is white in this image file.
        images: Images to edit: a folder, a parquet file or another data set; by default the run's own.
        split: Part of the data to take them from, such as test.
        count: Images to edit, the first so many.
        evaluations: Sampler steps.
        resampling: Times that each step is walked (RePaint); network evaluations grow with it, 1 is quickest.
        churn: Share of fresh noise in a step: 1 as in DDPM and RePaint, 0 as in DDIM.
        features: Network of the distances: inception, probe, resnet, pixels or auto, as for evaluate.
        weights: File of the feature network's weights.
        against: Further runs to edit the same images with the same noise, in columns beside the first.
        rows: Images on the sheet.
        seed: Seed of the noise.
        out: Folder to write; by default one in the run's folder.
    """
    import dataclasses
    import json

    import torch
    from accelerate import Accelerator

    from immiscible_diffusion.atomic_files import write_text
    from immiscible_diffusion.data import load_images
    from immiscible_diffusion.evaluation import feature_network, hole_psnr, prepare_reference, score_edits
    from immiscible_diffusion.generation import repaint
    from immiscible_diffusion.pictures import save_sheet
    from immiscible_diffusion.randomness import derived_seed, generator_for
    from immiscible_diffusion.run_folder import load_data
    from immiscible_diffusion.trained_model import load_trained

    if count < 2 or rows < 1:
        raise ValueError(f"--count must be 2 or more and --rows 1 or more, got {count} and {rows}")
    models = {str(folder): load_trained(folder) for folder in (run, *against)}
    first = models[str(run)]
    hole = _hole(first.shape[1:], task, centre, box, mask)
    trained_on = load_data(first.experiment)
    given = trained_on
    if images is not None or split != "train":
        settings = first.experiment
        given = load_images(
            images or settings.data,
            split=split,
            image_column=settings.image_column if images is None else None,
            label_column=settings.label_column if images is None else None,
            resolution=settings.resolution,
            rows=count,
        )
    for name, model in models.items():
        if model.shape != given.shape:
            raise ValueError(f"run {name!r} has images of {model.shape}, those to edit are {given.shape}")
        if model.experiment.class_conditional and given.labels is None:
            raise ValueError(f"run {name!r} is class-conditional, and the images to edit have no labels")
    pixels = given.pixels[:count]
    labels = None if given.labels is None else given.labels[:count]
    reference = prepare_reference(trained_on.pixels, feature_network(features, trained_on, weights=weights))
    print(
        f"{task}: {len(pixels):,} images, {float(hole.float().mean()):.0%} of the pixels to paint, "
        f"{evaluations} steps walked {resampling} times, features {reference.network.name}"
    )
    mean = trained_on.pixels.float().mean(0).round().to(torch.uint8)
    mean_psnr = hole_psnr(pixels, torch.where(hole, mean, pixels), hole)
    print(f"hole filled with the data's mean image: PSNR {mean_psnr:.2f} dB")
    device, results, columns = Accelerator().device, {}, [pixels, pixels.masked_fill(hole, 128)]
    folder = out or run / f"{task}-step{first.step}"
    for name, model in models.items():
        edited = repaint(
            model.experiment,
            model.network.to(device),
            pixels,
            hole,
            evaluations,
            generator_for(seed, "editing", device=device),
            labels=labels if model.experiment.class_conditional else None,
            resampling=resampling,
            churn=churn,
        )
        scores = score_edits(
            reference, pixels, edited, hole, seed=derived_seed(seed, "evaluation", 2) % 2**31
        )
        print(
            f"{name} ({model.experiment.pairing}, step {model.step:,}): PSNR {scores.psnr:.2f} dB, feature "
            f"distance {scores.feature_distance:.4f}, {scores.distances.distance_name} "
            f"{scores.distances.frechet:.4f}",
            flush=True,
        )
        results[name] = {
            "pairing": model.experiment.pairing,
            "step": model.step,
            **dataclasses.asdict(scores),
        }
        columns.append(edited)
        if name == str(run):
            for number, image in enumerate(edited):
                save_sheet(image[None], folder / "images" / f"{number:06d}.png", least_side=1)
    sheet = torch.stack([column[:rows] for column in columns], dim=1).flatten(0, 1)
    save_sheet(sheet, folder / "sheet.png", columns=len(columns), least_side=64)
    settings_used = {
        "task": task,
        "painted_share": float(hole.float().mean()),
        "images": given.name,
        "fingerprint": given.fingerprint,
        "count": len(pixels),
        "evaluations": evaluations,
        "resampling": resampling,
        "churn": churn,
        "seed": seed,
        "mean_image_psnr": mean_psnr,
        "runs": results,
    }
    write_text(folder / "edits.json", json.dumps(settings_used, indent=2, ensure_ascii=False) + "\n")
    print(f"Wrote {folder} (sheet.png: original, known part, then a column for each run; edits.json)")


def _hole(
    size: tuple[int, int],
    task: str,
    centre: float | None,
    box: tuple[int, int, int, int] | None,
    mask: Path | None,
) -> "Tensor":
    from immiscible_diffusion.masks import box_mask, centre_mask, image_mask

    if sum(option is not None for option in (centre, box, mask)) > 1:
        raise ValueError("--centre, --box and --mask each say what is marked; give one of them")
    if box is not None:
        marked = box_mask(size, box)
    elif mask is not None:
        marked = image_mask(size, mask)
    else:
        marked = centre_mask(size, 0.5 if centre is None else centre)
    hole = marked if task == "inpaint" else ~marked
    if not bool(hole.any()):
        marked_part = "nothing" if task == "inpaint" else "the whole image"
        raise ValueError(f"{marked_part} is marked, so nothing is left to {task}; mark another part")
    return hole
