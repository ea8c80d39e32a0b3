"""Bootstrap intervals, paired tests, length control."""
