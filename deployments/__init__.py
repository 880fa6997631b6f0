"""The flows of `flows/` as deployments: served from one machine, or run by a work pool."""
