"""What an instance has used of what it may use. The time is passed in."""

import math
from collections import deque
from collections.abc import Callable

from prefect_qsession.emulator.rules.timers import Timer, Timers
from prefect_qsession.emulator.settings import InstanceSettings, WorkloadLimits

# Times are differences of seconds since the epoch, which a float keeps to less than a microsecond.
_EXACT_DIGITS = 5
_SOONEST_SECONDS = 10**-_EXACT_DIGITS
_MINUTE_SECONDS = 60.0


class Account:
    """
    The usage of one instance, in seconds.

    A job in job mode or in a batch counts when it is over, by its charge; a session while it is
    active. What is older than the plan's window counts no more; the Flex plan has no window.
    """

    def __init__(self, instance: InstanceSettings, limits: WorkloadLimits) -> None:
        self.limit_seconds = instance.usage_limit_seconds
        if self.limit_seconds is None and instance.plan == "open":
            self.limit_seconds = limits.open_plan_usage_seconds
        self.allocation_seconds = instance.usage_allocation_seconds or self.limit_seconds
        self._period_seconds = limits.usage_period_seconds
        self._window_seconds = math.inf if instance.plan == "flex" else self._period_seconds
        self._charges: deque[tuple[float, float]] = deque()
        self._charged_seconds = 0.0
        self._metered_since: list[float] = []
        self._submissions_per_minute = limits.submissions_per_minute
        self._submitted: deque[float] = deque()

    @property
    def active_sessions(self) -> int:
        """How many sessions use it up by being active."""
        return len(self._metered_since)

    def may_submit(self, now: float) -> bool:
        """Tell whether one more job may come now; if so, it counts for a minute."""
        most = self._submissions_per_minute
        if most is None:
            return True
        while self._submitted and self._submitted[0] <= now - _MINUTE_SECONDS:
            self._submitted.popleft()
        if len(self._submitted) >= most:
            return False
        self._submitted.append(now)
        return True

    def charge(self, seconds: float, at: float) -> None:
        """Count what was used up to *at*."""
        if seconds > 0:
            self._charges.append((at, seconds))
            self._charged_seconds += seconds

    def start_meter(self, at: float) -> None:
        """Count every second from now on."""
        self._metered_since.append(at)

    def stop_meter(self, since: float, at: float) -> None:
        """Count no more seconds for what has been counted *since* then."""
        self._metered_since.remove(since)
        self.charge(at - since, at)

    def used_seconds(self, now: float) -> float:
        """Return what was used in the window that ends now."""
        while self._charges and self._charges[0][0] <= now - self._window_seconds:
            self._charged_seconds -= self._charges.popleft()[1]
        running_seconds = sum(now - since for since in self._metered_since)
        return round(self._charged_seconds + running_seconds, _EXACT_DIGITS)

    def seconds_left(self, now: float) -> float:
        """Return what may still be used; nothing once the limit is reached."""
        if self.limit_seconds is None:
            return math.inf
        return max(0.0, round(self.limit_seconds - self.used_seconds(now), _EXACT_DIGITS))

    def used_share(self, now: float) -> float:
        """
        Return the part of the allocation that is used up.

        An instance without an allocation counts as if it had all the time of a window.
        """
        return self.used_seconds(now) / (self.allocation_seconds or self._period_seconds)


class UsageWatch:
    """Calls *on_reached* with an account that has reached its limit, at that very instant."""

    def __init__(self, timers: Timers, on_reached: Callable[[Account, float], None]) -> None:
        self._timers = timers
        self._on_reached = on_reached
        self._next_looks: dict[Account, Timer] = {}

    def look(self, account: Account, now: float) -> None:
        """Look whether it is so. To be called when a charge was made or a meter was started."""
        if (timer := self._next_looks.pop(account, None)) is not None:
            timer.cancel()
        seconds_left = account.seconds_left(now)
        if not seconds_left:
            self._on_reached(account, now)
        elif account.active_sessions and seconds_left < math.inf:
            soonest = now + max(seconds_left / account.active_sessions, _SOONEST_SECONDS)
            self._next_looks[account] = self._timers.schedule(
                soonest, lambda at: self.look(account, at)
            )
