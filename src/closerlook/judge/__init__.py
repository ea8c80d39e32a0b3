"""Judges: verdicts of responses by aspect, and pairwise comparison."""
