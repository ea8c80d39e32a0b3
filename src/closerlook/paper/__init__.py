"""The paper's own numbers: where they stand, which cell of a grid they are about, what is wrong with them, what they claim."""
