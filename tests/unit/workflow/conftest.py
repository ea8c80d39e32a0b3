"""A finished run of a project whose programs only write files."""

from tests.support.workflow_project import finished, project

__all__ = ["finished", "project"]
