"""What every other package builds on: errors, files that are complete or absent, parquet schemas, resumable work."""
