"""Training of one cell: full-parameter, LoRA or bias-only, in one process or several."""
