"""closerlook: what did instruction tuning change, was it worth it, and where do the new mistakes come from?

One folder per stage, in the order data flows: data, models (and the miniature), train, generate, shift, tables.
Stages meet only in files, whose schemas are in `closerlook.core.schemas`. Nothing here knows Snakemake.
"""
