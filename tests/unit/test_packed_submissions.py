"""Who submits a pack, what becomes of it when that one is cut off, and who does not wait."""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Event, Lock
from types import SimpleNamespace
from uuid import UUID

import pytest

from prefect_qsession.ibm.primitives import ClientPrimitive
from prefect_qsession.jobs.job_requests import JobAccount, Request, Submission
from prefect_qsession.jobs.packed_submissions import PackedSubmissions
from prefect_qsession.jobs.reattachment import JobIdentity
from tests.harness.waiting import wait_until

FLOW_RUN = UUID("12345678-1234-5678-1234-567812345678")
LONG_SECONDS = 5.0


class CutOff(BaseException):
    """What a task's timeout raises in its thread."""


def request(number: int) -> Request:
    """Return a request with one PUB."""
    identity = JobIdentity(FLOW_RUN, f"{number:032x}", 1)
    return Request(
        identity, ClientPrimitive("sampler"), [SimpleNamespace(shots=10, number=number)], 10, "kind"
    )


class Bench:
    """What packs are submitted to; the first submissions are cut off if so many are to be."""

    def __init__(self, window_seconds: float, cut_off: int = 0) -> None:
        self.asked: list[Request] = []
        self.waiting = 0
        self.cut_off = cut_off
        self.goes_on = Event()
        self.goes_on.set()
        self._lock = Lock()
        self.packs = PackedSubmissions(window_seconds, self.submit)

    def submit(self, asked: Request) -> Submission:
        self.waiting += 1
        self.goes_on.wait()
        with self._lock:
            self.asked.append(asked)
            if len(self.asked) <= self.cut_off:
                raise CutOff
        account = JobAccount(asked.identity, len(asked.arguments))
        return Submission(SimpleNamespace(name=asked.identity.request), account, is_new=True)

    def all_at_once(self, requests: list[Request]) -> list[Submission | BaseException]:
        """Submit from a thread each, in their order, into one pack."""

        def ask(one: Request) -> Submission | BaseException:
            try:
                return self.packs.submit(one)
            except CutOff as error:
                return error

        with ThreadPoolExecutor(len(requests)) as threads:
            asked = []
            for number, one in enumerate(requests, start=1):
                asked.append(threads.submit(ask, one))
                wait_until(lambda number=number: number <= self._members())
            return [future.result() for future in asked]

    def _members(self) -> int:
        return sum(len(pack.items) for pack in self.packs._packs._open.values()) or 99


def test_a_pack_whose_leader_is_cut_off_goes_on_as_it_is():
    """The next member submits the very same one, whose job is known by that; nobody goes alone."""
    bench = Bench(0.3, cut_off=1)

    first, *others = bench.all_at_once([request(number) for number in range(4)])

    assert isinstance(first, CutOff)
    assert 2 == len(bench.asked)
    assert bench.asked[0].identity == bench.asked[1].identity
    assert [1, 2, 3] == sorted(other.position for other in others)
    assert {4} == {other.account.members for other in others}


def test_however_many_are_cut_off_the_last_goes_on():
    """Each is the next one's warning, and none of them submits another pack."""
    bench = Bench(0.3, cut_off=3)

    answers = bench.all_at_once([request(number) for number in range(4)])

    assert 3 == sum(isinstance(answer, CutOff) for answer in answers)
    assert 1 == len({asked.identity for asked in bench.asked})
    assert 4 == len(bench.asked)


@pytest.mark.parametrize("count", [1, 3])
def test_on_an_event_loop_nobody_waits_for_others(count):
    """They could not come meanwhile: each goes at once, and holds the loop no longer than that."""
    bench = Bench(LONG_SECONDS)
    began = time.monotonic()

    async def gathered() -> list[Submission]:
        async def ask(one: Request) -> Submission:
            return bench.packs.submit(one)

        return await asyncio.gather(*(ask(request(number)) for number in range(count)))

    submissions = asyncio.run(gathered())

    assert time.monotonic() - began < LONG_SECONDS
    assert [request(number).identity for number in range(count)] == [
        asked.identity for asked in bench.asked
    ]
    assert [None] * count == [submission.position for submission in submissions]


def test_one_who_was_cut_off_finds_the_pack_that_went_with_it():
    """Its task is tried again while another member submits the pack: it is not paid once more."""
    bench = Bench(0.3, cut_off=1)
    requests = [request(number) for number in range(3)]
    bench.goes_on.clear()
    with ThreadPoolExecutor(4) as threads:
        answers = []
        for number, one in enumerate(requests, start=1):
            answers.append(threads.submit(bench.all_at_once, [one]))
            wait_until(lambda number=number: number <= bench._members())
        wait_until(lambda: bench.waiting)
        bench.goes_on.set()
        found = [answer.result()[0] for answer in answers]
    cut_off = [isinstance(answer, CutOff) for answer in found].index(True)

    again = bench.packs.submit(requests[cut_off])

    assert 2 == len(bench.asked)
    assert {0, 1, 2} == {again.position, *(it.position for it in found if it is not found[cut_off])}


def test_one_who_was_cut_off_before_the_pack_went_goes_alone():
    """The pack goes without it."""
    gone = Bench(0.3)
    gone.packs._clock = lambda: (_ for _ in ()).throw(CutOff)
    asked = request(1)
    with pytest.raises(CutOff):
        gone.packs.submit(asked)
    gone.packs._clock = time.monotonic

    assert gone.packs.submit(asked).position is None
    assert [asked.identity] == [each.identity for each in gone.asked]
