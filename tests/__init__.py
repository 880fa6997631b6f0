"""The tests: units without I/O, the emulator on its own, and flows against real servers."""
