"""EDM on handwritten digits (scikit-learn's 1,797 scans of 8×8), residual MLP.

Command: immiscible compare digits-edm --pairings independent nearest:4 assigned --seeds 3
Hardware: 2 CPU cores. Duration: TODO
Paper: has no such experiment, nor EDM; it is the small one that everybody can run.
Ours: TODO
"""

from immiscible_diffusion.experiment import Experiment
from immiscible_diffusion.objectives import EDM

experiment = Experiment(
    name="digits-edm",
    data="digits",
    network="mlp",
    objective=EDM(),
    pairing="nearest:4",
    batch_size=256,
    steps=1000,
    learning_rate=0.003,
    warmup_steps=50,
    ema_decay=0.99,
)
