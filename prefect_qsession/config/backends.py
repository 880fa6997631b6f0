"""Which backend a session flow asks for, where it does not name one."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

LEAST_BUSY = "least_busy"
"""In the place of a backend's name: `LeastBusy()`."""


@dataclass(frozen=True)
class LeastBusy:
    """
    Choose, when the flow run first needs one, the online backend with the shortest queue.

    Args:
        min_num_qubits: Leave out backends with fewer qubits.
        filters: Leave out backends for which this returns False; it is given an `IBMBackend`.
        attributes: Leave out backends whose configuration or status differs, as in
            `{"dynamic_circuits": True}`.
    """

    min_num_qubits: int | None = None
    filters: Callable[[Any], bool] | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        """Say what is asked for, in words that fit an error message."""
        wanted = ["the least busy backend"]
        if self.min_num_qubits is not None:
            wanted.append(f"of at least {self.min_num_qubits} qubits")
        wanted += [f"with {name} = {value!r}" for name, value in self.attributes.items()]
        if self.filters is not None:
            wanted.append(f"that passes {getattr(self.filters, '__name__', 'the filter')}")
        return " ".join(wanted)
