"""Session flows on a service that fails in every way that a correct client gets through."""
