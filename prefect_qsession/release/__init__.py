"""That no session is left open: what guards it, records it, and releases it in the end."""
