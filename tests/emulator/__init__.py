"""Tests of the emulator: the unmodified client is its judge."""
