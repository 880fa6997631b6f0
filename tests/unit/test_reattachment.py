"""Which job answers a request: identities, the numbers of equal requests, the table of answers."""

from concurrent.futures import ThreadPoolExecutor
from itertools import permutations, product
from uuid import UUID

import pytest

from prefect_qsession.ibm.codes import PASSING_CODES, Standing, standing_of
from prefect_qsession.jobs.reattachment import (
    ACTIONS,
    MAX_TAGS,
    OWN_TAGS,
    JobIdentity,
    Ordinals,
    ReattachAction,
    best_of,
)

FLOW_RUN = UUID("12345678-1234-5678-1234-567812345678")
IDENTITY = JobIdentity(FLOW_RUN, "0123456789abcdef" * 2, 12345)
ELSEWHERE = JobIdentity(FLOW_RUN, "0123456789abcdef" * 2, 12345, place="1000.12.3")


@pytest.mark.parametrize("identity", [IDENTITY, ELSEWHERE])
def test_an_identity_is_read_back_from_its_tags(identity):
    """Whatever else the user has tagged the job with."""
    assert identity == JobIdentity.from_tags(["mine", *identity.tags, "qsession"])


@pytest.mark.parametrize("identity", [IDENTITY, ELSEWHERE])
def test_an_identity_fits_into_the_tags_that_the_service_allows(identity):
    """Two of eight tags, of 86 characters at the most."""
    assert OWN_TAGS == len(identity.tags)
    assert OWN_TAGS < MAX_TAGS
    assert max(map(len, identity.tags)) <= 86


def test_the_same_request_in_another_place_is_another_request():
    """Tasks on different workers ask without knowing of each other."""
    assert IDENTITY.request != ELSEWHERE.request


def test_equal_requests_are_numbered_anew_in_each_place():
    """A task that is moved to another worker asks under the numbers it had."""
    ordinals = Ordinals()

    claimed = [ordinals.claim("a", (), within) for within in ("1", "1", "2")]

    assert [1, 2, 1] == claimed


@pytest.mark.parametrize(
    "tags",
    [
        [],
        IDENTITY.tags[:1],
        IDENTITY.tags[1:],
        ["qsession-run:nobody", IDENTITY.tags[1]],
        [IDENTITY.tags[0], "qsession-request:abc"],
        [IDENTITY.tags[0], "qsession-request:abc:first"],
    ],
    ids=["none", "no request", "no flow run", "bad flow run", "no ordinal", "bad ordinal"],
)
def test_tags_that_are_not_ours_are_no_identity(tags):
    """A job that somebody else submitted answers nothing."""
    assert JobIdentity.from_tags(tags) is None


TASK, INNER, OTHER = "task", "inner", "other"


def test_equal_requests_are_numbered_and_others_begin_anew():
    """Each fingerprint has its own count."""
    ordinals = Ordinals()

    claimed = [ordinals.claim(asked, ()) for asked in ("a", "a", "b", "a")]

    assert [1, 2, 1, 3] == claimed


def test_threads_get_every_number_once():
    """However many ask for the same at once."""
    ordinals = Ordinals()

    with ThreadPoolExecutor(8) as threads:
        claimed = list(threads.map(lambda n: ordinals.claim("a", ((n, 1),)), range(200)))

    assert list(range(1, 201)) == sorted(claimed)


def test_a_retried_task_gets_the_numbers_it_had():
    """In the order in which it asks; what it had not asked before is new."""
    ordinals = Ordinals()
    first = [ordinals.claim("a", ((TASK, 1),)) for _ in range(2)]
    others = ordinals.claim("a", ((OTHER, 1),))

    again = [ordinals.claim("a", ((TASK, 2),)) for _ in range(3)]

    assert [1, 2] == first
    assert 3 == others
    assert [1, 2, 4] == again


def test_a_task_inside_a_retried_task_gets_the_numbers_of_the_one_it_replaces():
    """Prefect gives it a new id, so that only the task around it tells."""
    ordinals = Ordinals()
    first = ordinals.claim("a", ((TASK, 1), ("inner of the first attempt", 1)))

    again = ordinals.claim("a", ((TASK, 2), ("inner of the second attempt", 1)))

    assert first == again


def test_a_task_that_asks_twice_in_one_attempt_means_it():
    """The same parameters again, to average: two jobs."""
    ordinals = Ordinals()

    claimed = [ordinals.claim("a", ((TASK, 1), (inner, 1))) for inner in (INNER, OTHER)]

    assert [1, 2] == claimed


STATUSES = {
    ("INITIALIZING", None): Standing.QUEUED,
    ("QUEUED", None): Standing.QUEUED,
    ("RUNNING", None): Standing.RUNNING,
    ("DONE", None): Standing.DONE,
    ("CANCELLED", None): Standing.CANCELLED,
    ("CANCELLED", 4001): Standing.CANCELLED,
    ("ERROR", None): Standing.FAILED,
    ("ERROR", 1517): Standing.FAILED,
    ("ERROR", 1305): Standing.FAILED,
    **{("ERROR", code): Standing.FAILED_IN_PASSING for code in PASSING_CODES},
}


@pytest.mark.parametrize(("told", "standing"), list(STATUSES.items()), ids=str)
def test_the_status_of_a_job_follows_from_the_clients_and_the_code(told, standing):
    """A failure without a code, or with one that is not known to pass, would happen again."""
    assert standing == standing_of(*told)


def test_every_status_has_an_action():
    """And every answer is given."""
    assert set(Standing) == set(ACTIONS)
    assert set(ReattachAction) == set(ACTIONS.values())


@pytest.mark.parametrize("standings", list(product(Standing, repeat=2)), ids=" and ".join)
def test_of_two_jobs_the_better_one_answers(standings):
    """Done before running, running before queued, any of them before an error; else a new one."""
    found = best_of(standings)

    answering = [each for each in standings if ACTIONS[each] is not ReattachAction.SUBMIT]
    if not answering:
        assert found is None
    else:
        order = list(ACTIONS)
        assert min(order.index(each) for each in answering) == order.index(standings[found])


def test_the_order_in_which_jobs_are_listed_does_not_matter():
    """Whichever of three comes first."""
    three = (Standing.FAILED, Standing.QUEUED, Standing.DONE)

    assert {Standing.DONE} == {order[best_of(order)] for order in permutations(three)}


def test_no_job_answers_where_there_is_none():
    """A first attempt."""
    assert best_of([]) is None
