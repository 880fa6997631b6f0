"""Policies and vocabulary, without I/O."""
