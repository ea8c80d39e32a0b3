"""Hallucinated spans: who marks them, and how they are read."""
