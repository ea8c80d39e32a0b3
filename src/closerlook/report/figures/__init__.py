"""Figures of the paper, for your grid, drawn from the tables' CSV and nothing else. `registry.FIGURES` names them."""
