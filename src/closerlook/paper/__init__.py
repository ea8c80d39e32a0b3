"""The paper's printed numbers, its claims, and checks that find implausible rows of its tables."""
