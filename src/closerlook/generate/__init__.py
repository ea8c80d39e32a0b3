"""Responses of a cell to an evaluation set."""
