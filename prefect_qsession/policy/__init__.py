"""Decisions, pure: they know neither Prefect nor Qiskit."""
