"""Flow runs ended at random moments in random ways, judged by the emulated service's record."""
