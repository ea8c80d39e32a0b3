"""Checks of a site before a run: the cluster, its nodes, models and judges."""
