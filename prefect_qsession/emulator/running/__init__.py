"""The service as time passes: its clocks, and the one way to it."""
