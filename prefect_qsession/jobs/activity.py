"""Whether a flow run asks anything of its session. Pure: the time is passed in."""

from threading import Lock


class Activity:
    """Know which jobs are not over, and since when there is none; thread-safe."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._under_way: set[str] = set()
        self._quiet_since: float | None = None

    def submitted(self, job_id: str) -> None:
        """Note a job whose result is not known."""
        with self._lock:
            self._under_way.add(job_id)
            self._quiet_since = None

    def over(self, job_id: str, now: float) -> None:
        """Note that the result of a job, or that it has none, is known."""
        with self._lock:
            self._under_way.discard(job_id)
            if not self._under_way:
                self._quiet_since = now

    def idle_seconds(self, now: float) -> float:
        """Return how long there has been no job; 0 while there is one, or has never been any."""
        with self._lock:
            return 0.0 if self._quiet_since is None else now - self._quiet_since
