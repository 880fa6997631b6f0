"""The HTTP side: reading requests, asking the service, writing what the client expects."""
