"""The session of a flow run: how it opens, is held, joined by other processes and released."""
