"""What people see of the emulator: its page in a real browser, and its terminal."""
