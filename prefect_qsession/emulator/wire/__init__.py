"""The HTTP side: who asks, what is asked and answered, and what goes wrong on the way."""
