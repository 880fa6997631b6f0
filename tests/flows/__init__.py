"""The flows of `flows/`, and what they compute with."""
