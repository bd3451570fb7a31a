"""Holes in images painted by runs and pipelines, side by side, with scores."""
