"""What this process asks of Prefect's API."""

import logging
from collections import Counter


class Requests(logging.Handler):
    """
    Count what Prefect's HTTP client says that it has sent, by method and path.

    To be made when Prefect has set its loggers up, which is when the first flow run begins.
    """

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.sent: Counter[tuple[str, str]] = Counter()
        logging.getLogger("httpx").addHandler(self)
        logging.getLogger("httpx").setLevel(logging.INFO)

    def emit(self, record: logging.LogRecord) -> None:
        """Count one."""
        method, url = record.args[:2] if isinstance(record.args, tuple) else ("", "")
        self.sent[str(method), str(url).partition("/api")[2].partition("?")[0]] += 1
