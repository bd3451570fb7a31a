"""`immiscible edit`: fill a hole in images with what a run or pipeline has learned."""

from pathlib import Path
from typing import Annotated, Literal

import tyro


def edit(
    run: Annotated[Path, tyro.conf.Positional],
    task: Annotated[Literal["inpaint", "outpaint"], tyro.conf.Positional],
    centre: float | None = None,
    box: tuple[int, int, int, int] | None = None,
    mask: Path | None = None,
    images: str | None = None,
    prompt: str | None = None,
    prompt_column: str | None = None,
    guidance: float | None = None,
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
        run: Folder of the run, or of a diffusers pipeline of Stable Diffusion's kind (then give --images).
        task: inpaint fills the marked part, outpaint everything else.
        centre: Mark the middle, as a share of height and width; 0.5 unless --box or --mask is given.
        box: Mark a box: TOP LEFT BOTTOM RIGHT in pixels, the last two exclusive.
        mask: Mark what is white in this image file.
        images: Images to edit: a folder, a parquet file or another data set; by default the run's own.
        prompt: What to say of every image to models that read prompts; by default its own caption or class.
        prompt_column: Column of captions of --images.
        guidance: Scale of classifier-free guidance; by default the run's, 7.5 for a pipeline.
        split: Part of the data to take them from, such as test.
        count: Images to edit, of the run's own evenly spaced, of --images the first so many.
        evaluations: Sampler steps.
        resampling: Times that each step is walked (RePaint); network evaluations grow with it, 1 is quickest.
        churn: Share of fresh noise in a step: 1 as in DDPM and RePaint, 0 as in DDIM.
        features: Network of the distances: inception, probe, resnet, pixels or auto, as for evaluate.
        weights: File of the feature network's weights.
        against: Further runs or pipelines to edit the same images, in columns beside the first, runs with the
            same noise.
        rows: Images on the sheet, evenly spaced among those edited.
        seed: Seed of the noise.
        out: Folder to write; by default one in the run's folder, for a pipeline one in runs/.
    """
    import dataclasses

    from immiscible_diffusion.evaluation import feature_network
    from immiscible_diffusion.painting.batch import chosen_hole, chosen_originals, edit_images
    from immiscible_diffusion.painting.originals import Source
    from immiscible_diffusion.painting.painters import Walk, open_painter

    if count < 2 or rows < 1:
        raise ValueError(f"--count must be 2 or more and --rows 1 or more, got {count} and {rows}")
    walk = Walk(evaluations, resampling, churn, guidance, seed)
    painters = [open_painter(folder, walk) for folder in (run, *against)]
    first = painters[0]
    hole = chosen_hole(painters, task, centre, box, mask)
    source = None
    if images is not None:
        source = Source(images, split, prompt_column=prompt_column)
    elif first.source is not None and (split != "train" or prompt_column is not None):
        column = prompt_column or first.source.prompt_column
        source = dataclasses.replace(first.source, split=split, prompt_column=column)
    real, originals = chosen_originals(painters, source, count, prompt)
    network = feature_network(features, real, weights=weights)
    walked = "" if first.own is None else f" walked {resampling} times"
    print(
        f"{task}: {len(originals.pixels):,} images, {float(hole.float().mean()):.0%} of the pixels to paint, "
        f"{evaluations} steps{walked}, features {network.name}"
    )
    step = first.about.get("step")
    folder = out or (Path("runs") / f"{run.name}-{task}" if step is None else run / f"{task}-step{step}")

    def report(line: str) -> None:
        print(line, flush=True)

    edit_images(painters, originals, hole, task, real, network, walk, folder, rows=rows, report=report)
    print(f"Wrote {folder} (sheet.png: original, known part, then a column for each model; edits.json)")
