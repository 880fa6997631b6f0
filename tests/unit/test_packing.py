"""What goes together as one job, and how it is found again in it."""

from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import pytest

from prefect_qsession.config.durations import window_seconds
from prefect_qsession.exceptions import InvalidSetting
from prefect_qsession.jobs.packing import (
    MARKS_PER_TAG,
    MOST_EXECUTIONS,
    Packs,
    identity_of,
    mark_of,
    marks_of,
    most_members,
    position_of,
)
from prefect_qsession.jobs.reattachment import MAX_TAGS, JobIdentity

FLOW_RUN = UUID("12345678-1234-5678-1234-567812345678")
MEMBERS = [JobIdentity(FLOW_RUN, f"{number:032x}", 1) for number in range(most_members(0))]


@pytest.mark.parametrize("count", [1, 2, MARKS_PER_TAG, MARKS_PER_TAG + 1, 40, len(MEMBERS)])
def test_every_member_is_found_in_the_tags_of_its_packs_job(count):
    """At the position of its PUB, in whatever order the service gives the tags."""
    members = MEMBERS[:count]
    tags = identity_of(members).tags

    found = [position_of(["mine", *reversed(tags)], member.request) for member in members]

    assert list(range(count)) == found
    assert [mark_of(member.request) for member in members] == marks_of(tags)


def test_a_pack_fits_into_the_tags_that_the_service_allows():
    """Eight, of 86 characters at the most."""
    tags = identity_of(MEMBERS).tags

    assert len(tags) <= MAX_TAGS
    assert max(map(len, tags)) <= 86
    assert len(MEMBERS) >= 40


@pytest.mark.parametrize("others", range(MAX_TAGS + 1))
def test_the_users_own_tags_leave_room_for_fewer(others):
    """And a pack that has no room for two is none."""
    room = MEMBERS[: most_members(others)]

    assert not room or len(identity_of(room).tags) + others <= MAX_TAGS


def test_what_is_no_member_is_not_found():
    """Nor is anything in a job that is no pack."""
    assert position_of(identity_of(MEMBERS[:3]).tags, MEMBERS[5].request) is None
    assert position_of(MEMBERS[0].tags, MEMBERS[0].request) is None
    assert [] == marks_of(["qsession-p0:not base64"])


def test_a_pack_is_another_if_its_members_or_their_order_are():
    """It is looked for by its own tags if its submission was not answered."""
    one, two = MEMBERS[:2]
    identities = [identity_of(members) for members in ([one], [two], [one, two], [two, one])]

    assert 4 == len({identity.request for identity in identities})
    assert 4 == len({tuple(identity.tags) for identity in identities})
    assert JobIdentity.from_tags(identities[2].tags) is None


def test_what_comes_within_the_window_goes_together():
    """The time counts from the last that came; its end is outside."""
    packs = Packs[str](0.5)
    moments = {"first": 10.0, "second": 10.25, "third": 10.5, "late": 11.0}

    put = {name: packs.put("kind", name, 1, 9, at) for name, at in moments.items()}

    assert ["first", "second", "third"] == put["first"][0].items
    assert ["late"] == put["late"][0].items
    assert [True, False, False, True] == [leads for _, leads in put.values()]


def test_a_pack_does_not_grow_for_ever():
    """However steadily more comes."""
    packs = Packs[int](0.5)

    put = [packs.put("kind", number, 1, 1000, number / 4) for number in range(41)]

    assert list(range(40)) == put[0][0].items
    assert put[40][1]


def test_only_what_is_of_one_kind_goes_together():
    """Each kind has its own pack."""
    packs = Packs[str](1.0)

    put = [packs.put(kind, kind, 1, 9, 0.0) for kind in "abab"]

    assert [["a", "a"], ["b", "b"]] == [put[0][0].items, put[1][0].items]


def test_a_pack_that_is_full_is_closed_and_the_next_begins():
    """Without a wait for the end of the window."""
    packs = Packs[int](1.0)

    put = [packs.put("kind", number, 1, 2, 0.0) for number in range(5)]

    assert [True, False, True, False, True] == [leads for _, leads in put]
    assert [True, True, False] == [put[index][0].is_closed for index in (0, 2, 4)]


def test_a_pack_keeps_within_what_a_job_may_execute():
    """What would be too much begins another one."""
    packs = Packs[str](1.0)
    most = MOST_EXECUTIONS

    sizes = [most // 2, most // 2, 1]
    put = [packs.put("kind", str(size), size, 9, 0.0) for size in sizes]

    assert [True, False, True] == [leads for _, leads in put]


def test_a_closed_pack_takes_no_more():
    """It is being submitted."""
    packs = Packs[str](1.0)
    pack, _ = packs.put("kind", "first", 1, 9, 0.0)

    packs.close("kind", pack)
    packs.close("kind", pack)
    other, leads = packs.put("kind", "second", 1, 9, 0.0)

    assert leads
    assert other is not pack


def test_threads_put_each_item_into_one_pack_with_one_first():
    """However many come at once."""
    packs = Packs[int](1.0)

    with ThreadPoolExecutor(8) as threads:
        put = list(threads.map(lambda n: packs.put("kind", n, 1, 7, 0.0), range(200)))

    distinct = {id(pack): pack for pack, _ in put}.values()
    assert list(range(200)) == sorted(item for pack in distinct for item in pack.items)
    assert len(distinct) == sum(leads for _, leads in put)
    assert max(len(pack.items) for pack in distinct) <= 7


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("50ms", 0.05), ("0.2s", 0.2), ("2 s", 2.0), ("1.5", 1.5), (0.05, 0.05), (3, 3.0)],
)
def test_a_window_is_written_as_people_write_it(value, seconds):
    """Text, or seconds."""
    assert seconds == window_seconds("pack", value)


@pytest.mark.parametrize("value", [0, -1, 61, "1h", "soon", "", True, None])
def test_what_is_no_window_is_refused(value):
    """With the name of the option."""
    with pytest.raises(InvalidSetting, match="pack"):
        window_seconds("pack", value)
