"""Consistency training on handwritten digits (scikit-learn's 1,797 scans of 8×8), residual MLP.

Command: immiscible compare digits-consistency --pairings independent nearest:4 assigned --seeds 3
Hardware: 2 CPU cores. Duration: about 50 seconds a run.
Paper: has no such experiment; it is the small one that everybody can run.
Ours: Change of the distance against vanilla, `immiscible evidence run digits-consistency`, 5 seeds, 1 / 2 /
    4 evaluations: assigned:above +10 ± 78 / +19 ± 68 / +17 ± 64 %, assigned +223 ± 249 / +238 ± 256 /
    +255 ± 230 %, nearest:4 +10 ± 30 / +29 ± 37 / +45 ± 57 %; `immiscible evidence run
    digits-consistency-slow`, 5 seeds, 1 / 2 / 4 evaluations: assigned:above +2 ± 33 / +25 ± 15 / +20 ± 14
    %, assigned +136 ± 78 / +160 ± 49 / +175 ± 46 %, nearest:4 +20 ± 39 / +37 ± 34 / +40 ± 30 %.
Where levels are finest runs blow up at this rate, vanilla's too; digits-consistency-slow has a third of it
and longer averaging.
"""

from immiscible_diffusion.experiment import Experiment
from immiscible_diffusion.objectives import Consistency

experiment = Experiment(
    name="digits-consistency",
    data="digits",
    network="mlp",
    objective=Consistency(),
    pairing="nearest:4",
    batch_size=256,
    steps=1600,
    learning_rate=0.003,
    warmup_steps=50,
    ema_decay=0.99,
)
