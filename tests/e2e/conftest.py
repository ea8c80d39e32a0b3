"""A base model with ways to train it, and a finished run of a project whose programs only write files."""

from tests.support.training import base, make_job, trained
from tests.support.workflow_project import finished, project

__all__ = ["base", "finished", "make_job", "project", "trained"]
