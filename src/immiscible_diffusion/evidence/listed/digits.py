"""Comparisons on scikit-learn's digits: 64 pixels, seconds to minutes a run."""

import dataclasses

from immiscible_diffusion.comparison import Plan
from immiscible_diffusion.evidence.listed.entry import (
    ABOVE,
    COARSE,
    DOT_ABOVE,
    LONGEST,
    NEAREST_ABOVE,
    NOISIER,
    NOISIEST,
    SHARPEST_ABOVE,
    SWEEP,
    Listed,
)
from immiscible_diffusion.experiments import named_experiment
from immiscible_diffusion.objectives import EDM, Diffusion, FlowMatching

DIGITS = (
    *SWEEP,
    COARSE,
    NEAREST_ABOVE,
    SHARPEST_ABOVE,
    DOT_ABOVE,
    "nearest:8:coarse2",
    "nearest:8:rescaled",
    "nearest:8:until50",
    "nearest:8:from50",
    "assigned:until50",
    "semidiscrete",
    "nearest:64:dot",
    "nearest:8:whitened",
    "nearest:8:dot:whitened",
)
# A quarter, a half, twice and four times what is measured on the digits, 0.79.
LEVELS = tuple(f"{ABOVE}{level}" for level in (0.2, 0.4, 1.6, 3.2))
SMALL_BATCH = ("independent", "nearest:8", "assigned", ABOVE, NEAREST_ABOVE, SHARPEST_ABOVE)
HALF = 898  # of 1,797 digits
WITHIN_ABOVE = "assigned:within:above"
WITH_CLASSES = ("independent", "nearest:8", "assigned", "assigned:within", WITHIN_ABOVE, COARSE)


def comparisons() -> tuple[Listed, ...]:
    """All of them, in the order of their worth."""
    flow, ddim, edm, consistency = (
        named_experiment(f"digits-{kind}") for kind in ("flow", "ddim", "edm", "consistency")
    )
    noisier, noisiest = EDM(log_mean=NOISIER), EDM(log_mean=NOISIEST)
    edm = dataclasses.replace(edm, objective=EDM())  # at its own noise levels
    small = dataclasses.replace(flow, batch_size=16, steps=2000, learning_rate=0.001)
    every = Plan(DIGITS, seeds=5, points=4, count=2000)
    main = dataclasses.replace(every, pairings=(*LONGEST, ABOVE))
    long = dataclasses.replace(main, seeds=3, points=5, pairings=("independent", "assigned", ABOVE))
    with_classes = Plan(WITH_CLASSES, seeds=5, points=2)
    consistency_plan = Plan((*SWEEP, COARSE), seeds=5, evaluations=(1, 2, 4), judged_at=1, points=2)
    within = dataclasses.replace(with_classes, pairings=("independent", "assigned:within"))
    return (
        Listed(
            "digits-flow",
            "Which pairing, which k, which rule, until when? Flow matching on 64 pixels.",
            flow,
            every,
            again=2000,
        ),
        Listed("digits-ddim", "The same for DDIM.", ddim, every, again=2000),
        Listed(
            "digits-ddim-v",
            "DDIM that predicts v instead of the noise: does it matter what a paired network predicts?",
            dataclasses.replace(ddim, objective=Diffusion(prediction="v")),
            main,
            again=2000,
        ),
        Listed(
            "digits-edm",
            "EDM at its own noise levels; its network predicts images where noise is high, noise where it is "
            "low.",
            edm,
            main,
            again=2000,
        ),
        Listed(
            "digits-edm-noisier",
            "EDM trained where noise is higher, which suits vanilla best.",
            dataclasses.replace(edm, objective=noisier),
            main,
        ),
        Listed(
            "digits-edm-noisiest",
            "EDM trained where noise is higher still: does pairing move the levels to train at?",
            dataclasses.replace(edm, objective=noisiest),
            dataclasses.replace(
                main, pairings=(*LONGEST, ABOVE, NEAREST_ABOVE, SHARPEST_ABOVE, DOT_ABOVE, *LEVELS)
            ),
            again=2000,
        ),
        Listed(
            "digits-flow-logit1",
            "Flow matching trained more where noise is high: does pairing move the times to train at?",
            dataclasses.replace(flow, objective=FlowMatching(logit_mean=1.0)),
            main,
        ),
        Listed(
            "digits-flow-logit0",
            "Flow matching trained most where noise and image are even, which suits vanilla best.",
            dataclasses.replace(flow, objective=FlowMatching(logit_mean=0.0)),
            main,
        ),
        Listed(
            "digits-edm-long",
            "Does longer training change the verdict? EDM trained where noise is high, five times the steps.",
            dataclasses.replace(edm, objective=noisiest, steps=5000),
            long,
        ),
        *(
            Listed(
                name,
                question,
                dataclasses.replace(edm, objective=noisiest, steps=steps, rows=HALF),
                dataclasses.replace(long, count=HALF),
                again=HALF,
                aside=True,
            )
            for name, question, steps in (
                (
                    "digits-edm-half",
                    "Half of the digits, measured against the other half too: is a gain one in copying?",
                    1000,
                ),
                ("digits-edm-half-long", "The same in five times the steps, 1,400 epochs.", 5000),
            )
        ),
        Listed(
            "digits-small-batch",
            "Batches of 16, which leave assignment little to choose among.",
            small,
            dataclasses.replace(every, points=2, pairings=SMALL_BATCH),
            aside=True,
        ),
        Listed(
            "digits-small-batch-window",
            "The noise of 16 such batches assigned as one pool.",
            dataclasses.replace(small, pairing_window=16),
            dataclasses.replace(every, points=2, pairings=("independent", "assigned", ABOVE)),
            aside=True,
        ),
        Listed(
            "digits-conditional",
            "Flow matching on digits told apart by class: does assignment harm where there is a condition, "
            "and does assigning within the class mend it?",
            dataclasses.replace(flow, class_conditional=True),
            with_classes,
        ),
        Listed(
            "digits-conditional-edm",
            "The same for EDM, where pairing helps most without a class.",
            dataclasses.replace(edm, class_conditional=True),
            with_classes,
        ),
        Listed(
            "digits-conditional-edm-noisier",
            "EDM with classes, trained where noise is higher.",
            dataclasses.replace(edm, class_conditional=True, objective=noisier),
            within,
        ),
        Listed(
            "digits-conditional-edm-noisiest",
            "EDM with classes, trained where noise is higher still.",
            dataclasses.replace(edm, class_conditional=True, objective=noisiest),
            dataclasses.replace(within, pairings=(*within.pairings, WITHIN_ABOVE)),
        ),
        Listed(
            "digits-consistency",
            "Consistency training on 64 pixels.",
            consistency,
            consistency_plan,
        ),
        Listed(
            "digits-consistency-slow",
            "Consistency training at a third of the rate and with longer averaging, where vanilla's seeds "
            "agree.",
            dataclasses.replace(consistency, learning_rate=0.001, ema_decay=0.998),
            dataclasses.replace(
                consistency_plan, pairings=("independent", "nearest:8", "assigned", ABOVE, "nearest:4")
            ),
        ),
        Listed(
            "digits-ddim-std",
            "Scaling the images instead of pairing (Fig. 8), DDIM.",
            ddim,
            Plan(("independent",), seeds=5, points=4, image_stds=(0.5, 1.0, 2.0, 4.0)),
        ),
    )
