"""The real client against the emulator, and flows on a real Prefect server."""
