"""The `immiscible` command."""

from immiscible_diffusion.cli.main import main

__all__ = ["main"]
