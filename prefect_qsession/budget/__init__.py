"""What a flow run may spend, and what it has spent."""
