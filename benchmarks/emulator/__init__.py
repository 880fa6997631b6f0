"""How fast the emulator answers, what it can take, and what memory that needs."""
