"""Flow runs that are ended in every way and place, judged by what the emulator saw."""
