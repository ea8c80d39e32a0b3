"""The page: a static site of one results folder, which opens from disk, without a server and without a network."""
