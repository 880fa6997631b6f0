"""What the emulator saw, told in lines."""

import json
import statistics
import urllib.request
from collections import Counter
from dataclasses import dataclass
from typing import Any

FINAL = {"Completed", "Failed", "Cancelled"}
OUTCOMES = {
    "close": "closed: no new jobs, accepted ones finished",
    "cancel": "cancelled: jobs that had not started were dropped",
    "max_ttl": "ended by the service at its max_time",
    "unused": "ended by the service: it never had a job",
}


@dataclass(frozen=True)
class SessionStory:
    """One session of the emulator's record, with its jobs."""

    session: dict[str, Any]
    jobs: list[dict[str, Any]]

    @property
    def finished_jobs(self) -> int:
        """How many of its jobs are over."""
        return sum(job["status"] in FINAL for job in self.jobs)

    def runs_a_job(self, after: int) -> bool:
        """Whether a job of it runs now, and so many are over."""
        return self.finished_jobs >= after and any(job["status"] == "Running" for job in self.jobs)

    def lines(self) -> dict[str, str]:
        """Return what there is to say, by subject."""
        return {
            "session": f"{self.session['id']} on {self.session['backend']}",
            "outcome": OUTCOMES.get(self.session["ended_by"], "still open"),
            "states": self._states(),
            "jobs": self._counts(),
            "queue": self._queue(),
            "QPU": self._usage(),
        }

    def _states(self) -> str:
        created = self.session["created"]
        return "  ".join(
            f"{step['state']} at {step['at'] - created:.1f} s"
            for step in self.session["transitions"]
        )

    def _counts(self) -> str:
        counts = Counter(job["status"] for job in self.jobs)
        unfinished = len(self.jobs) - self.finished_jobs
        listed = ", ".join(f"{count} {status}" for status, count in sorted(counts.items()))
        return f"{listed}; {unfinished} left in the queue"

    def _queue(self) -> str:
        first, *others = [job["queue_seconds"] or 0.0 for job in self.jobs]
        if not others:
            return f"first job {first:.2f} s"
        return (
            f"first job {first:.2f} s, the {len(others)} others "
            f"{statistics.median(others):.2f} s (median), {max(others):.2f} s at most"
        )

    def _usage(self) -> str:
        in_jobs = sum(job["qpu_seconds"] or 0.0 for job in self.jobs)
        billed = self.session["usage_seconds"]
        return f"{in_jobs:.1f} s in jobs; the session was active for {billed:.1f} s"


def sessions(emulator_url: str) -> list[SessionStory]:
    """Read the emulator's record: every session so far, oldest first."""
    with urllib.request.urlopen(f"{emulator_url}/emulator/record") as reply:  # noqa: S310
        record = json.load(reply)
    return [
        SessionStory(session, [job for job in record["jobs"] if job["session_id"] == session["id"]])
        for session in record["sessions"]
    ]
