"""What an emulated service is made of: its instances, devices, queues, timing and randomness."""

from dataclasses import dataclass, field
from typing import Literal, Self

DeviceStatus = Literal["online", "paused", "offline"]
Plan = Literal["open", "pay-as-you-go", "flex", "premium"]

DEFAULT_API_KEY = "emulator-api-key"
DEFAULT_CRN = (
    "crn:v1:bluemix:public:quantum-computing:us-east:"
    "a/0123456789abcdef0123456789abcdef:00000000-0000-4000-8000-000000000001::"
)


@dataclass(frozen=True)
class InstanceSettings:
    """
    A service instance: who may use it, and what its plan allows.

    Several instances may share an API key, as they do in one IBM Cloud account.
    """

    crn: str = DEFAULT_CRN
    name: str = "emulated"
    plan: Plan = "premium"
    api_keys: tuple[str, ...] = (DEFAULT_API_KEY,)
    usage_limit_seconds: int | None = None


@dataclass(frozen=True)
class QueueSettings:
    """
    The other tenants of a device.

    *jobs_ahead* jobs of *seconds_each* stand before every job in job mode, before the first job of
    a session or batch, and before a job that reactivates one.
    """

    jobs_ahead: int = 0
    seconds_each: float = 0.0

    def __post_init__(self) -> None:
        """Refuse negative numbers."""
        if self.jobs_ahead < 0 or self.seconds_each < 0:
            msg = f"a queue cannot be negative: {self}"
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
    """

    overhead_seconds: float = 2.0
    seconds_per_execution: float = 0.00035
    fixed_seconds: float | None = None
    spread: float = 0.0

    def __post_init__(self) -> None:
        """Refuse times that cannot be."""
        times = (self.overhead_seconds, self.seconds_per_execution, self.fixed_seconds or 0.0)
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
    The time limits of sessions and batches, in seconds.

    Defaults: IBM's run-jobs-session and run-jobs-batch guides. The batch's interactive TTL is one
    second in the details the live service prints, one minute in the guide's prose.
    """

    session_interactive_ttl_seconds: float = 60.0
    session_max_ttl_seconds: int = 8 * 3600
    batch_interactive_ttl_seconds: float = 1.0
    batch_max_ttl_seconds: int = 8 * 3600
    open_plan_batch_max_ttl_seconds: int = 600
    unused_seconds: float = 1800.0
    job_max_seconds: int = 3 * 3600
    open_plan_job_max_seconds: int = 600


@dataclass(frozen=True)
class EmulatorSettings:
    """
    Everything about an emulated service that is decided before it starts.

    Args:
        instances: The service instances; the first is the one `Emulator.environment` names.
        devices: The QPUs, offered to every instance.
        queue: The other tenants of every device that does not name its own.
        timing: How long jobs hold the QPU.
        limits: How long sessions and batches live.
        seed: Makes results and drawn times repeatable for the same jobs in the same order.
        noise: `"shots"` gives the estimator the shot noise of its precision, `"none"` the exact
            value. Sampling programs have shot noise either way.
        time_scale: How fast the service's clock runs.
        hand_clock: Have the clock stand still until it is advanced.
        simulation_limit_seconds: Real time after which a simulation is given up.
        control: Serve the record and the hand clock under `/emulator/`.
    """

    instances: tuple[InstanceSettings, ...] = (InstanceSettings(),)
    devices: tuple[DeviceSettings, ...] = (
        DeviceSettings("ibm_sherbrooke", "sherbrooke"),
        DeviceSettings("ibm_manila", "manila"),
    )
    queue: QueueSettings = field(default_factory=QueueSettings)
    timing: TimingSettings = field(default_factory=TimingSettings)
    limits: WorkloadLimits = field(default_factory=WorkloadLimits)
    seed: int = 0
    noise: Literal["shots", "none"] = "shots"
    time_scale: float = 1.0
    hand_clock: bool = False
    simulation_limit_seconds: float = 300.0
    control: bool = True

    def __post_init__(self) -> None:
        """Refuse a service without instances or devices, or with two of one name."""
        crns = [instance.crn for instance in self.instances]
        names = [device.name for device in self.devices]
        if not crns or not names or len(set(crns)) < len(crns) or len(set(names)) < len(names):
            msg = "a service needs instances and devices, each named once"
            raise ValueError(msg)
        if self.time_scale <= 0:
            msg = f"time_scale must be positive, not {self.time_scale}"
            raise ValueError(msg)
