"""Instruction data and evaluation sets: sources, formats, prompts, contamination."""
