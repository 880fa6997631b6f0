"""What tests and benchmarks share: servers, places, and flow runs that are ended."""
