"""EDM on CIFAR-10 with the network of the paper's DDIM: 35.7 M parameters, batch 256.

Command: immiscible train cifar10-edm --data PATH (or nothing: the hub's copy) --precision bf16
On a CPU: immiscible train cifar10-edm --network unet-small --batch-size 64 --steps 300
Hardware: one A5000-class GPU. Duration: days.
Paper: has no EDM. Others report FID 1.97 (EDM, 35 evaluations), 1.88 with assignment (AOT, 27).
Ours: not run at this size; a small network on a CPU. Change of the distance against vanilla, `immiscible
    evidence run cifar10-edm`, 3 seeds, 5 / 20 evaluations: assigned −3 ± 4 / +3 ± 6 %, assigned:above
    −4 ± 6 / −3 ± 8 %; `immiscible evidence run cifar10-edm-noisiest`, 3 seeds, 5 / 20 evaluations: assigned
    −3 ± 2 / −2 ± 3 %, assigned:above −5 ± 2 / −8 ± 2 %.

Sample with --sampler heun; EDM's own network is larger, its batch 512, its images augmented.
"""

from immiscible_diffusion.experiment import Experiment
from immiscible_diffusion.objectives import EDM

experiment = Experiment(
    name="cifar10-edm",
    data="cifar10",
    network="unet-paper",
    objective=EDM(),
    pairing="nearest:8",
    flip=True,
    batch_size=256,
    steps=200000,
    learning_rate=0.0002,
    warmup_steps=5000,
    ema_decay=0.9999,
)
