"""Token-distribution shift: how far tuning moved each response token's distribution from the base model's."""
