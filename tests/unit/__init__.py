"""What decides, tried out without I/O; and how the package is built."""
