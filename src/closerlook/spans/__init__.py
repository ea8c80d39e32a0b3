"""Spans of a response that are hallucinated: marked by truth, a judge, the model's own samples, or people."""
