"""The session of a flow run: its life, how it opens, is managed and found."""
