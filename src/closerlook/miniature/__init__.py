"""A small world whose facts are known, rendered to a corpus, instruction data and questions."""
