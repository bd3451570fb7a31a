"""Thin adapters for trainers that ask for a coupling in a form of their own."""
