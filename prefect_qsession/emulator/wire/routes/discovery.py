"""IBM Cloud's side: tokens (IAM), the search for instances, the catalog of plans."""

from urllib.parse import parse_qs

from fastapi import APIRouter, Request
from starlette.responses import Response

from prefect_qsession.emulator.rules import errors
from prefect_qsession.emulator.settings import InstanceSettings, Plan
from prefect_qsession.emulator.wire.requests import as_json, emulation, read_body

router = APIRouter(tags=["discovery"])

_APIKEY_GRANT = "urn:ibm:params:oauth:grant-type:apikey"
_PRICING: dict[Plan, str] = {
    "open": "free",
    "pay-as-you-go": "paygo",
    "flex": "subscription",
    "premium": "subscription",
}


@router.post("/identity/token")
async def create_token(request: Request) -> Response:
    """Give a token for an API key."""
    form = parse_qs((await read_body(request)).decode("utf-8", "replace"))
    if form.get("grant_type") != [_APIKEY_GRANT]:
        return _iam_error("BXNIM0106E", "Property missing or empty in request: grant_type")
    token = emulation(request).identity.issue(form.get("apikey", [""])[0])
    if token is None:
        return _iam_error("BXNIM0415E", "Provided API key could not be found.")
    return as_json(token)


def _iam_error(code: str, message: str) -> Response:
    return as_json({"errorCode": code, "errorMessage": message, "context": {}}, 400)


@router.post("/v3/resources/search")
async def search_resources(request: Request) -> Response:
    """List the instances a token opens."""
    opened = emulation(request).identity.instances_of(request.headers.get("authorization"))
    return as_json({"items": [_resource(instance) for instance in opened], "limit": 100})


def _resource(instance: InstanceSettings) -> dict[str, object]:
    return {
        "crn": instance.crn,
        "name": instance.name,
        "service_plan_unique_id": f"emulated-plan-{instance.plan}",
        # The client passes over an instance without extensions.
        "doc": {"extensions": {"virtual_private_endpoints": {}}},
        "tags": [],
    }


@router.get("/catalog/{plan_id}")
async def describe_plan(plan_id: str) -> Response:
    """Describe a plan."""
    plan = plan_id.removeprefix("emulated-plan-")
    if plan not in _PRICING:
        raise errors.route_not_found()
    return as_json(
        {
            "id": plan_id,
            "name": plan,
            "overview_ui": {"en": {"display_name": plan.replace("-", " ").title()}},
            "metadata": {"pricing": {"type": _PRICING[plan]}},
        }
    )
