"""Sweeps: a grid of experiments as jobs, resumable, its results one table."""
