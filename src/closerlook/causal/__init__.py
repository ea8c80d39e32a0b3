"""Causal evidence for a span's origin: likelihood under other models, gradient attribution, case sheets."""
