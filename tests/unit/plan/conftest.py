"""A project to plan for, and a grid of five cells."""

from tests.support.cell_results import results
from tests.support.plan_project import plan, project

__all__ = ["plan", "project", "results"]
