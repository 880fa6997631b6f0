"""The guardian: real processes that die, judged by the emulator's record."""
