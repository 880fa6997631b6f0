"""Prefect's two user interfaces, V1 and V2: where things are, and how they are called there."""

import itertools
import json
from dataclasses import dataclass
from urllib.parse import quote
from uuid import UUID

from tests.harness.waiting import wait_until
from tests.ui.browser import Page

LONG_SECONDS = 400.0
"""A busy machine takes its time to start a flow run."""

LOOKS_BEFORE_A_RELOAD = 250


@dataclass(frozen=True)
class PrefectUI:
    """One of the two, in a tab."""

    version: str
    page: Page
    root: str

    @property
    def is_v2(self) -> bool:
        """Whether it is the newer of the two."""
        return self.version == "v2"

    def visit(self, path: str) -> None:
        """Go to a page of it."""
        self.page.visit(f"{self.root}/{'v2/' if self.is_v2 else ''}{path}")

    def visit_run(self, flow_run_id: UUID) -> None:
        """Go to the page of a flow run."""
        self.visit(f"runs/flow-run/{flow_run_id}")

    def visit_artifact(self, artifact_id: UUID | None) -> None:
        """Go to the page of an artifact."""
        self.visit(f"artifacts/artifact/{artifact_id}")

    def wait_for_event(self, flow_run_id: UUID, event: str) -> None:
        """Look at a flow run's events until one is there: V2 shows those of whole minutes only."""
        resource = f"prefect.flow-run.{flow_run_id}"
        wanted = quote(json.dumps([resource])) if self.is_v2 else resource
        looks = itertools.count()

        def is_there() -> bool:
            if next(looks) % LOOKS_BEFORE_A_RELOAD == 0:
                self.visit(f"events?resource={wanted}")
            return self.page.shows(event)

        wait_until(is_there, LONG_SECONDS)

    def create_block(self, type_slug: str, name: str, values: dict[str, str]) -> None:
        """Fill in the form of a block, and save it."""
        self.visit(f"blocks/catalog/{type_slug}/create")
        self.page.fill("Name" if self.is_v2 else "Block Name", name)
        for label, value in values.items():
            self.page.fill(label, value)

    def save_block(self) -> None:
        """Press what saves the block whose form is filled in."""
        self.page.press("Save" if self.is_v2 else "Create")

    def run_deployment(self, deployment_id: UUID, parameters: dict[str, str]) -> None:
        """Fill in the form of a deployment's parameters, and start a run of it."""
        self.visit(f"deployments/deployment/{deployment_id}/run")
        for name, value in parameters.items():
            self.page.fill(name, value)
        self.page.press("Submit")

    def cancel_run(self) -> None:
        """On a run's page, press what cancels it, and confirm that."""
        if self.is_v2:
            self.page.press("Open menu")
            self.page.press("Cancel")
            self.page.press("Cancel Flow Run")
        else:
            self.page.press("Cancel")
            self.page.press("Confirm")
