"""Files that are whole or absent, parquet schemas, resumable parts, errors: what every other package builds on."""
