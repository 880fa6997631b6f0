"""Many open sessions at once: what they ask of Prefect's API, of the service and of a machine."""
