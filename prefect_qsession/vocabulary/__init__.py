"""Words and frozen data that every layer shares; no I/O."""
