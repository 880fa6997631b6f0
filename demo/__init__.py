"""The demonstration: a Prefect server, the emulator, a VQE that completes and one that fails."""
