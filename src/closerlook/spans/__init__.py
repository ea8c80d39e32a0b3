"""Hallucinated spans: markers, and reading spans together with their responses."""
