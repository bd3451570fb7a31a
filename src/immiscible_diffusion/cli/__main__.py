"""`python -m immiscible_diffusion.cli`, the same as `immiscible`."""

from immiscible_diffusion.cli.main import main

main()
