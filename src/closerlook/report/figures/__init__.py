"""Figures of the paper for any grid, drawn from the CSV files of the tables alone. `registry.FIGURES` lists them."""
