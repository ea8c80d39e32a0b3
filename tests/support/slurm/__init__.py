"""A real Slurm on this machine, and a project that runs on it."""
