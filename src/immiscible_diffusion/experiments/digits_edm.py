"""EDM on handwritten digits (scikit-learn's 1,797 scans of 8×8), residual MLP.

Command: immiscible compare digits-edm --seeds 3
Hardware: 2 CPU cores. Duration: about 20 seconds a run.
Paper: has no such experiment, nor EDM; it is the small one that everybody can run.
Ours: Change of the distance against vanilla, `immiscible evidence run digits-edm-noisiest`, 5 seeds, 5 / 20
    / 50 evaluations: assigned:above −96 ± 8 / −83 ± 9 / −77 ± 9 %, nearest:64:dot:above −90 ± 9 / −70 ± 11
    / −60 ± 12 %, assigned −93 ± 7 / −61 ± 5 / −44 ± 2 %, nearest:8 −65 ± 7 / −22 ± 7 / −4 ± 7 %.
Training where noise is high, at a mean ln σ of 0 in place of EDM's -1.2, suits vanilla as well on these
images, and paired noise far better.
"""

from immiscible_diffusion.experiment import Experiment
from immiscible_diffusion.objectives import EDM

experiment = Experiment(
    name="digits-edm",
    data="digits",
    network="mlp",
    objective=EDM(log_mean=0.0),
    pairing="assigned:above",
    batch_size=256,
    steps=1000,
    learning_rate=0.003,
    warmup_steps=50,
    ema_decay=0.99,
)
