"""Hallucinated spans: the markers, and reading their spans with the responses."""
