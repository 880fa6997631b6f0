"""What a flow run may spend, when other processes spend for it, too."""

from typing import NamedTuple

import pytest

from prefect_qsession.budget.spending import Spending
from prefect_qsession.exceptions import BudgetExceeded
from prefect_qsession.settings import QSessionSettings


class Charge(NamedTuple):
    """As the service tells it."""

    job_id: str
    request: str
    seconds: float | None


class Service:
    """Knows the flow run's jobs, and how it was asked for them."""

    def __init__(self, *jobs: Charge) -> None:
        self.jobs = list(jobs)
        self.awaited: list[set[str]] = []

    def read(self, is_known, awaited) -> list[Charge]:
        self.awaited.append(set(awaited))
        return [job for job in self.jobs if not is_known(job.job_id)]


def spending_of(cap: float, service: Service) -> tuple[Spending, list[float]]:
    """Return the spending, and where it tells that most is spent."""
    told: list[float] = []
    policy = QSessionSettings().resolve({"qpu_budget": cap})
    spending = Spending(policy, lambda _, seconds: told.append(seconds))
    spending.share(service.read)
    return spending, told


def test_what_others_have_spent_and_have_under_way_is_spent():
    """Each job of theirs once: charged, or as estimated until it is."""
    service = Service(Charge("j1", "a", 4.0), Charge("j2", "b", None))
    spending, told = spending_of(10, service)

    with pytest.raises(BudgetExceeded, match=r"4\.0 s are spent"):
        spending.reserve("mine", 0)

    service.jobs[1] = Charge("j2", "b", 2.0)
    spending.reserve("mine", 0)
    assert [set(), {"j2"}] == service.awaited
    assert [] == told


def test_a_job_of_ones_own_is_counted_by_its_reservation_alone():
    """The service lists it before its submission has returned here."""
    service = Service()
    spending, _ = spending_of(7, service)
    for number in range(3):
        spending.reserve(f"mine {number}", 0)
        service.jobs.append(Charge(f"j{number}", f"mine {number}", None))

    assert set() == set.union(*service.awaited)
    with pytest.raises(BudgetExceeded):
        spending.reserve("one more", 0)


def test_most_is_told_once_whoever_has_spent_it():
    """By the charges, and by another process that has found it out."""
    spending, told = spending_of(10, Service(Charge("j1", "a", 10.0)))

    with pytest.raises(BudgetExceeded):
        spending.reserve("mine", 0)
    spending.learn({"j1": 10.0})

    assert [10.0] == told


def test_without_a_budget_nobody_is_asked():
    """Not for others either."""
    service = Service()
    spending = Spending(QSessionSettings().resolve({}), lambda *_: None)
    spending.share(service.read)

    spending.reserve("mine", 0)

    assert [] == service.awaited
