"""What an emulated service is made of: its instances, devices, queues, timing and randomness."""

from dataclasses import astuple, dataclass, field
from typing import Literal, Self

DeviceStatus = Literal["online", "paused", "offline"]
Plan = Literal["open", "pay-as-you-go", "flex", "premium"]

# The client takes a URL with "experimental" in it as it stands; from any other it would make up a
# host name of its own, and lose the port.
RUNTIME_PREFIX = "/experimental/api/v1"
# Where the emulator's own routes are, apart from the emulated ones.
CONTROL_PREFIX = "/emulator"

SECONDS_PER_HOUR = 3600

DEFAULT_API_KEY = "emulator-api-key"
DEFAULT_CRN = (
    "crn:v1:bluemix:public:quantum-computing:us-east:"
    "a/0123456789abcdef0123456789abcdef:00000000-0000-4000-8000-000000000001::"
)


@dataclass(frozen=True)
class InstanceSettings:
    """
    A service instance: who may use it, and what its plan allows.

    Several instances may share an API key, as they do in one IBM Cloud account. Without a
    *usage_limit_seconds* the plan's own holds, if it has one. *usage_allocation_seconds* is what
    fair share goes by, the limit if it is left out.
    """

    crn: str = DEFAULT_CRN
    name: str = "emulated"
    plan: Plan = "premium"
    api_keys: tuple[str, ...] = (DEFAULT_API_KEY,)
    usage_limit_seconds: int | None = None
    usage_allocation_seconds: int | None = None

    def __post_init__(self) -> None:
        """Refuse negative numbers."""
        if min(self.usage_limit_seconds or 0, self.usage_allocation_seconds or 0) < 0:
            msg = f"usage cannot be negative: {self.name}"
            raise ValueError(msg)


@dataclass(frozen=True)
class QueueSettings:
    """
    The other tenants of a device.

    *jobs_ahead* jobs of *seconds_each* stand before every job in job mode, before the first job of
    a session or batch, and before a job that reactivates one: the same for each.

    Or the queue is long and ebbs by chance, as real ones do: on average *arrivals_per_hour* jobs
    come, of *arrival_seconds* each, and wait behind whoever is there. *jobs_at_start* of them are
    there when the service starts. Times and lengths are drawn by the service's seed.
    """

    jobs_ahead: int = 0
    seconds_each: float = 0.0
    arrivals_per_hour: float = 0.0
    arrival_seconds: float = 60.0
    jobs_at_start: int = 0

    def __post_init__(self) -> None:
        """Refuse negative numbers, and a queue that would only ever grow."""
        if min(astuple(self)) < 0:
            msg = f"a queue cannot be negative: {self}"
            raise ValueError(msg)
        if self.arrivals_per_hour * self.arrival_seconds >= SECONDS_PER_HOUR:
            msg = f"other tenants bring more work than a QPU can do: {self}"
            raise ValueError(msg)


@dataclass(frozen=True)
class DeviceSettings:
    """
    A QPU: the name it is offered under, and whose data it shows.

    *model* names a fake backend of `qiskit_ibm_runtime` (`"sherbrooke"`, `"torino"`, `"fez"`...).
    A paused device accepts jobs and runs none (maintenance); an offline one refuses them. *queue*
    replaces the service's for this device.
    """

    name: str
    model: str
    status: DeviceStatus = "online"
    queue: QueueSettings | None = None


@dataclass(frozen=True)
class TimingSettings:
    """
    How long a job holds the QPU, in seconds of the service's clock.

    `overhead_seconds + seconds_per_execution * executions`, as in IBM's estimate-job-run-time guide
    (2 s per job and 350 us per execution: 250 us repetition delay, up to 100 us of circuit).
    *fixed_seconds* replaces the formula. Either is stretched or shrunk by up to the fraction
    *spread*, drawn by the service's seed.

    Before that a job runs for *classical_seconds* without the QPU, in its execution lane. How long
    that takes is not published, so it takes no time unless it is given.
    """

    overhead_seconds: float = 2.0
    seconds_per_execution: float = 0.00035
    fixed_seconds: float | None = None
    spread: float = 0.0
    classical_seconds: float = 0.0

    def __post_init__(self) -> None:
        """Refuse times that cannot be."""
        times = (
            self.overhead_seconds,
            self.seconds_per_execution,
            self.fixed_seconds or 0.0,
            self.classical_seconds,
        )
        if min(times) < 0 or not 0 <= self.spread <= 1:
            msg = f"impossible timing: {self}"
            raise ValueError(msg)

    @classmethod
    def instant(cls) -> Self:
        """Return the timing of a QPU that takes no time at all."""
        return cls(fixed_seconds=0.0)


@dataclass(frozen=True)
class WorkloadLimits:
    """
    The time limits of sessions, batches, jobs and plans, in seconds.

    Defaults: IBM's run-jobs-session, run-jobs-batch and max-execution-time guides. The batch's
    interactive TTL is one second in the details the live service prints, one minute in the guide's
    prose. Usage is counted over the last *usage_period_seconds*.

    IBM's API reference limits each user to five jobs a minute; whether jobs of sessions count is
    not said, so nothing is limited unless *submissions_per_minute*, for each instance, is set.
    """

    session_interactive_ttl_seconds: float = 60.0
    session_max_ttl_seconds: int = 8 * 3600
    batch_interactive_ttl_seconds: float = 1.0
    batch_max_ttl_seconds: int = 8 * 3600
    open_plan_batch_max_ttl_seconds: int = 600
    unused_seconds: float = 1800.0
    job_max_seconds: int = 3 * 3600
    open_plan_job_max_seconds: int = 600
    open_plan_usage_seconds: int = 600
    usage_period_seconds: int = 28 * 86400
    submissions_per_minute: int | None = None


@dataclass(frozen=True)
class DisputedRules:
    """
    Where IBM's documents contradict each other: which of them the emulator follows.

    The first of each is the default. A batch's interactive TTL, the fifth of these, is one of the
    `WorkloadLimits`.

    Args:
        queued_jobs_at_max_ttl: Whether they fail or are cancelled.
        running_jobs_at_usage_limit: Whether they run to their end or are cancelled there.
        batch_closes_after_last_job: Whether a batch closes when no job of it is left, rather than
            being inactive after its interactive TTL.
        quantum_seconds_in_metrics: Whether a job's metrics have that name too, as the guides print
            it and as the API had it before version 2026-03-15.
    """

    queued_jobs_at_max_ttl: Literal["fail", "cancel"] = "fail"
    running_jobs_at_usage_limit: Literal["complete", "cancel"] = "complete"
    batch_closes_after_last_job: bool = False
    quantum_seconds_in_metrics: bool = False


@dataclass(frozen=True)
class EmulatorSettings:
    """
    Everything about an emulated service that is decided before it starts.

    Args:
        instances: The service instances; the first is the one `Emulator.environment` names.
        devices: The QPUs, offered to every instance.
        queue: The other tenants of every device that does not name its own.
        timing: How long jobs hold the QPU.
        execution_lanes: How many jobs run on a device at once, one of them on the QPU, the others
            in their classical part or waiting for it.
        limits: How long sessions and batches live, and how much a plan may use.
        disputed: The rules on which IBM's documents contradict each other.
        seed: Makes results and drawn times repeatable for the same jobs in the same order.
        noise: `"shots"` gives the estimator the shot noise of its precision, `"none"` the exact
            value. Sampling programs have shot noise either way.
        time_scale: How fast the service's clock runs.
        hand_clock: Have the clock stand still until it is advanced.
        skip_waits: With a hand clock, have the time pass at once for which a job waits for a QPU
            that is busy, or holds it. All other time stands still.
        simulation_limit_seconds: Real time after which a simulation is given up.
        token_lifetime_seconds: How long the tokens of IAM are valid, on the machine's clock. The
            client renews a token when four fifths of its life are over.
        control: Serve the record, the hand clock and the faults under `/emulator/`.
        kept_results: How many jobs keep what is large about them, their parameters and results:
            the latest, and those that are not over. Of older ones the record stays.
        kept_bytes: How large those may be together; the oldest go first.
    """

    instances: tuple[InstanceSettings, ...] = (InstanceSettings(),)
    devices: tuple[DeviceSettings, ...] = (
        DeviceSettings("ibm_sherbrooke", "sherbrooke"),
        DeviceSettings("ibm_manila", "manila"),
    )
    queue: QueueSettings = field(default_factory=QueueSettings)
    timing: TimingSettings = field(default_factory=TimingSettings)
    execution_lanes: int = 5
    limits: WorkloadLimits = field(default_factory=WorkloadLimits)
    disputed: DisputedRules = field(default_factory=DisputedRules)
    seed: int = 0
    noise: Literal["shots", "none"] = "shots"
    time_scale: float = 1.0
    hand_clock: bool = False
    skip_waits: bool = False
    simulation_limit_seconds: float = 300.0
    token_lifetime_seconds: int = 3600
    control: bool = True
    kept_results: int = 10_000
    kept_bytes: int = 256 * 2**20

    def __post_init__(self) -> None:
        """Refuse a service without instances or devices, or with two of one name."""
        crns = [instance.crn for instance in self.instances]
        names = [device.name for device in self.devices]
        if not crns or not names or len(set(crns)) < len(crns) or len(set(names)) < len(names):
            msg = "a service needs instances and devices, each named once"
            raise ValueError(msg)
        if self.execution_lanes < 1:
            msg = f"a device needs an execution lane, not {self.execution_lanes}"
            raise ValueError(msg)
        if self.time_scale <= 0:
            msg = f"time_scale must be positive, not {self.time_scale}"
            raise ValueError(msg)
        if self.skip_waits and not self.hand_clock:
            msg = "skip_waits needs hand_clock: a clock that runs by itself skips nothing"
            raise ValueError(msg)
        if min(self.kept_results, self.kept_bytes) < 0:
            kept = f"{self.kept_results}, {self.kept_bytes}"
            msg = f"kept_results and kept_bytes cannot be negative: {kept}"
            raise ValueError(msg)
        if self.token_lifetime_seconds < 0:
            msg = f"token_lifetime_seconds cannot be negative: {self.token_lifetime_seconds}"
            raise ValueError(msg)
