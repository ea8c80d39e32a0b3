"""Estimates before a run: parameters, memory, hours, judge costs, and the resources each job requests."""
