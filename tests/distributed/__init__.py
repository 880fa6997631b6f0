"""Session flows whose tasks run in other processes."""
