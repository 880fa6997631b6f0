"""
What Prefect does by itself when something goes wrong, as automations.

One command creates them:

    python -m deployments.automations
    python -m deployments.automations --notify slack-webhook/quantum

Run it again after a change: an automation that is there is updated, and one that somebody has
turned off stays off. Without `--notify`, which takes the type and name of a saved notification
block, three of the four notify nobody; that they have fired is in Prefect's event feed.
"""

import argparse
from datetime import timedelta

from prefect.automations import AutomationCore, EventTrigger, Posture
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import StateType
from prefect.events.actions import ActionTypes, ChangeFlowRunState, DoNothing, SendNotification
from prefect.events.schemas.events import ResourceSpecification

MISSED_HEARTBEATS = timedelta(minutes=10)
"""Flow runs send one every 180 s (PREFECT_FLOWS_HEARTBEAT_FREQUENCY): three may be missed."""

SESSION_CANCELLED_AFTER_A_CRASH = "session-cancelled-after-a-crash"
BUDGET_AT_80_PERCENT = "budget-at-80-percent"
QUEUE_LONGER_THAN_AN_HOUR = "queue-longer-than-an-hour"
LOST_HEARTBEAT_IS_A_CRASH = "lost-heartbeat-is-a-crash"


def automations(notification_block: str | None = None) -> list[AutomationCore]:
    """
    Return the automations.

    Args:
        notification_block: Name of the block that notifies, after its type and a slash.

    Raises:
        ObjectNotFound: There is no such block.
    """

    def tell(subject: str, body: str) -> list[ActionTypes]:
        if notification_block is None:
            return [DoNothing()]
        return [SendNotification(block_document_id=block_id, subject=subject, body=body)]

    if notification_block is not None:
        block_type, _, name = notification_block.partition("/")
        with get_client(sync_client=True) as client:
            block_id = client.read_block_document_by_name(name, block_type).id

    return [
        AutomationCore(
            name=SESSION_CANCELLED_AFTER_A_CRASH,
            description="Tell that a flow run died, and that its session was cancelled.",
            trigger=EventTrigger(
                posture=Posture.Reactive,
                expect={"qsession.session.released"},
                # What the flow's own process did not do.
                match=_labelled(
                    {"qsession.state": "cancelled", "qsession.by": ["guardian", "hook", "reaper"]}
                ),
            ),
            actions=tell(
                "A session was cancelled after a crash",
                "Flow run {{ flow_run.name }} ended without releasing {{ event.resource.name }}; "
                "it is cancelled now. {{ flow_run|ui_url }}",
            ),
        ),
        AutomationCore(
            name=BUDGET_AT_80_PERCENT,
            description="Tell that four fifths of a flow run's budget are spent.",
            trigger=EventTrigger(posture=Posture.Reactive, expect={"qsession.budget.warning"}),
            actions=tell(
                "A budget is at 80 %",
                "Flow run {{ flow_run.name }} has spent {{ event.payload.spent_seconds }} s of its "
                "{{ event.payload.budget }}. {{ flow_run|ui_url }}",
            ),
        ),
        AutomationCore(
            name=QUEUE_LONGER_THAN_AN_HOUR,
            description="Tell that a flow run's first job has queued for more than an hour.",
            trigger=EventTrigger(posture=Posture.Reactive, expect={"qsession.queue.long"}),
            actions=tell(
                "A queue is longer than an hour",
                "Flow run {{ flow_run.name }} still waits for the QPU. {{ flow_run|ui_url }}",
            ),
        ),
        AutomationCore(
            name=LOST_HEARTBEAT_IS_A_CRASH,
            # Prefect's server marks nothing by itself when a machine dies: its flow runs would stay
            # Running for ever. A crash starts the reaper.
            description="Mark flow runs as Crashed whose heartbeat is lost.",
            trigger=EventTrigger(
                posture=Posture.Proactive,
                match=ResourceSpecification({"prefect.resource.id": "prefect.flow-run.*"}),
                for_each={"prefect.resource.id"},
                after={"prefect.flow-run.heartbeat"},
                expect={"prefect.flow-run.*"},
                within=MISSED_HEARTBEATS,
            ),
            actions=[
                ChangeFlowRunState(state=StateType.CRASHED, message="Its heartbeat was lost.")
            ],
        ),
    ]


def create_or_update(automation: AutomationCore, client: SyncPrefectClient) -> bool:
    """Make the automation of that name what is given here; return whether it is new."""
    if there := client.read_automations_by_name(automation.name):
        client.update_automation(
            there[0].id, automation.model_copy(update={"enabled": there[0].enabled})
        )
        return False
    client.create_automation(automation)
    return True


def main() -> None:
    """Create what is not there, and update what is."""
    parser = argparse.ArgumentParser(
        prog="python -m deployments.automations", description="Create or update the automations."
    )
    parser.add_argument(
        "--notify", metavar="TYPE/NAME", help="the notification block to use, as slack-webhook/mine"
    )
    options = parser.parse_args()
    with get_client(sync_client=True) as client:
        for automation in automations(options.notify):
            is_new = create_or_update(automation, client)
            print(f"{'Created' if is_new else 'Updated'} {automation.name}.")


def _labelled(labels: dict[str, str | list[str]]) -> ResourceSpecification:
    return ResourceSpecification({"prefect.resource.id": "qsession.session.*", **labels})


if __name__ == "__main__":
    main()
