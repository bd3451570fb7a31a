"""Consistency training on handwritten digits (scikit-learn's 1,797 scans of 8×8), residual MLP.

Command: immiscible compare digits-consistency --pairings independent nearest:4 assigned --seeds 3
Hardware: 2 CPU cores. Duration: TODO
Paper: has no such experiment; it is the small one that everybody can run.
Ours: TODO
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
