"""Flow runs on several workers: what is lost when one dies, and how fast they are."""
