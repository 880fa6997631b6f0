"""Flows as users write them; tests/integration/test_parity_of_entrypoints.py loads copies of it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from enum import StrEnum

from prefect import flow
from pydantic import BaseModel, Field


class Mode(StrEnum):
    """Names that the plugin has, too, for something else."""

    FAST = "fast"
    SLOW = "slow"


class Release(BaseModel):
    """And this one."""

    number: int = Field(1, description="Which.", ge=1)


@dataclass
class State:
    """And a name of Prefect's own."""

    of: str = "mind"


@flow
def annotated(
    mode: Mode = Mode.FAST, release: Release | None = None, state: State | None = None
) -> str:
    """Take the user's own types, by annotations that are text."""
    names = [type(it).__module__ == __name__ for it in (mode, release, state) if it is not None]
    return f"{mode} {release and release.number} {state and state.of} {names}"


@flow(name="async", description="Async.", version="7", retries=1)
async def awaited(mode: Mode = Mode.FAST) -> str:
    await asyncio.sleep(0)
    return mode.name


@flow
def yielding(release: Release):
    yield release.number
    yield release.number + 1


@flow
async def yielding_async(release: Release):
    yield release.number
    yield release.number + 1


class Lab:
    """Methods as flows."""

    size = 3

    @flow
    def of_instance(self, release: Release) -> int:
        return self.size * release.number

    @flow
    @classmethod
    def of_class(cls, release: Release) -> int:
        return cls.size * release.number

    @flow
    @staticmethod
    def of_nobody(release: Release) -> int:
        return release.number

    @flow
    @staticmethod
    async def of_nobody_async(release: Release) -> int:
        await asyncio.sleep(0)
        return release.number

    @flow
    async def of_instance_async(self, release: Release) -> int:
        await asyncio.sleep(0)
        return self.size * release.number

    @flow
    @classmethod
    async def of_class_async(cls, release: Release) -> int:
        await asyncio.sleep(0)
        return cls.size * release.number


def make(name: str):
    """Make a flow of a function inside of a function."""

    @flow(name=name)
    def inner(release: Release, others: list[Mode] | None = None) -> str:
        return f"{name} {release.number} {others}"

    return inner


nested = make("inner-flow")
