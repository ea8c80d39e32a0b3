"""The paper's printed numbers, its claims, and the rows of its tables that cannot be right."""
