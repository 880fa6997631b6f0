"""What knows one part of the outside world each: Prefect's API, the Runtime service, processes."""
