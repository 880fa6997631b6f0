"""The page at the emulator's root, and what it asks for once a second."""

from importlib.resources import files

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, Response

from prefect_qsession.emulator.settings import CONTROL_PREFIX
from prefect_qsession.emulator.views.overview import overview
from prefect_qsession.emulator.wire.requests import Running, as_json, emulation

router = APIRouter(tags=["page"])

PAGE = files("prefect_qsession.emulator.views").joinpath("page.html").read_text("utf-8")
HEADERS = {
    # Nothing is loaded from anywhere, and nothing is sent to anyone else.
    "Content-Security-Policy": "default-src 'none'; connect-src 'self'; img-src data:; "
    "style-src 'unsafe-inline'; script-src 'unsafe-inline'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
}


@router.get("/")
async def show_page() -> Response:
    """Show the page."""
    return HTMLResponse(PAGE, headers=HEADERS)


@router.get(f"{CONTROL_PREFIX}/overview")
async def show_overview(request: Request, running: Running) -> Response:
    """Return what there is to see now: devices, sessions, jobs and faults, the latest of each."""
    standing = emulation(request).faults.standing
    with running.up_to_date() as (service, now):
        seen = overview(service, standing, now)
    return as_json(seen.as_dict())
