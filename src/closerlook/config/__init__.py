"""The configuration: its schemas, how it is loaded and checked, the grid it describes, and the lineage of its cells."""
