"""`immiscible demo`: trained runs to look at and touch in a browser, on this machine alone."""

from immiscible_diffusion.live_page.serving import serve

__all__ = ["serve"]
