"""Stable Diffusion from scratch on MS-COCO at 256×256, prompted by captions (Table 3: batch 2,048).

Command: 4 GPUs of 48 GB (16 rows a piece): torchrun --nproc-per-node 4 -m immiscible_diffusion.cli
    train mscoco-stable-diffusion --data PATH --precision bf16 --encode-precision bf16 --accumulation 32
    --pairing nearest --k 64
On 8 GPUs of 80 GB (32 rows a piece): the same with --nproc-per-node 8 and --accumulation 8
    (PATH: a folder of parquet files train*.parquet with columns `image` and `captions`, a list of strings)
Hardware: 4×A6000 in the paper. Duration: not run.
Paper: (Fig. 6c) a lower FID at equal steps; its curve prints no numbers.
Ours: not run
"""

import dataclasses

from immiscible_diffusion.experiments.imagenet_stable_diffusion import experiment as class_names

experiment = dataclasses.replace(
    class_names,
    name="mscoco-stable-diffusion",
    data="data/mscoco",
    prompt_column="captions",
    accumulation=32,
)
