"""Flows to run, to read and to copy; they use `prefect_qsession` as any user's flow does."""
