"""Snakemake that checks its jobs every few seconds; the plugin waits increasingly long, up to three minutes."""

import sys

from snakemake.cli import main
from snakemake_interface_executor_plugins.executors.remote import RemoteExecutor

RemoteExecutor.next_seconds_between_status_checks = property(lambda self: 2, lambda self, seconds: None)
sys.argv[0] = "snakemake"
main()
