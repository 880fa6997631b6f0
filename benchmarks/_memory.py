"""How much memory this process has."""

import os
from pathlib import Path


def resident_mib() -> float:
    """Return the resident memory of this process at this moment (man 5 proc)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
