"""From a request to its result: which job answers it, and what becomes of that job."""
