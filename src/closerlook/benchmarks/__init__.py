"""Benchmarks: the base model and tuned models scored on tasks with known answers."""
