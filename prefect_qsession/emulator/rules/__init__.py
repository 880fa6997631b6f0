"""The rules of the service: what it decides. No I/O, and the time is an argument."""
