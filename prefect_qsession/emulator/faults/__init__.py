"""Faults on demand: what goes wrong, for which requests, and when."""
