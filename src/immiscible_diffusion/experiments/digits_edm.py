"""EDM on handwritten digits (scikit-learn's 1,797 scans of 8×8), residual MLP.

Command: immiscible compare digits-edm --pairings independent nearest:4 assigned --seeds 3
Hardware: 2 CPU cores. Duration: about 20 seconds a run.
Paper: has no such experiment, nor EDM; it is the small one that everybody can run.
Ours: Fréchet distance in the probe's features (not FID) at 5 / 20 / 50 evaluations, 3 seeds, 2,000 images:
vanilla 7.76 / 1.24 / 0.96, nearest:4 3.97 / 1.12 / 0.99, assigned 1.33 / 0.91 / 0.90. At 20, assigned
reaches vanilla's best in 1.43 (1.28 to 1.56) times fewer steps, nearest:4 in 1.07 (1.07 to 1.13).
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
