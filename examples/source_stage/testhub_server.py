"""TestHub: a small test management API, as many are: projects, their releases, cycles, executions; pages; a token.

    python examples/source_stage/testhub_server.py --port 8765

It answers what metadata/stages/testhub.yml and testhub.openapi.yaml describe.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Sequence
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

TOKEN = "testhub-example-token"  # noqa: S105 - of an example that holds no data
PROJECTS, RELEASES, CYCLES, EXECUTIONS = 23, 4, 2, 5
SIZE = 10

Record = dict[str, Any]


def projects() -> list[Record]:
    """All projects."""
    return [
        {
            "id": number,
            "key": f"P{number:02}",
            "name": f"Project {number}",
            "active": number % 7 != 0,
            "createdAt": f"2025-01-{number:02}T08:00:00Z",
            "lead": {"name": f"lead{number}"},
        }
        for number in range(1, PROJECTS + 1)
    ]


def releases(project: int) -> list[Record]:
    """The releases of a project."""
    return [
        {
            "id": project * 100 + number,
            "projectId": project,
            "name": f"{number}.0",
            "status": "released" if number < RELEASES else "open",
            "progress": number / RELEASES,
        }
        for number in range(1, RELEASES + 1)
    ]


def cycles(release: int) -> list[Record]:
    """The test cycles of a release."""
    return [
        {"id": release * 10 + number, "releaseId": release, "name": f"Cycle {number}"}
        for number in range(1, CYCLES + 1)
    ]


def executions(cycle: int) -> list[Record]:
    """The executions of a cycle."""
    states = ("passed", "failed", "blocked")
    return [
        {"id": cycle * 10 + number, "cycleId": cycle, "test": f"T-{number}", "result": states[number % 3]}
        for number in range(1, EXECUTIONS + 1)
    ]


def create_app(token: str = TOKEN) -> Starlette:
    """The API under /api.

    Args:
        token: what the header X-Api-Token has to hold.
    """

    def guarded(answer: Callable[[Request], Response]) -> Callable[[Request], Response]:
        def ask(request: Request) -> Response:
            if request.headers.get("X-Api-Token") != token:
                return JSONResponse({"error": "unknown token"}, 401)
            return answer(request)

        return ask

    def listed(records: Callable[[Request], Sequence[Record]]) -> Callable[[Request], Response]:
        def answer(request: Request) -> Response:
            found = records(request)
            page, size = (int(request.query_params.get(name, usual)) for name, usual in (("page", 1), ("size", SIZE)))
            shown = found[(page - 1) * size : page * size]
            return JSONResponse({"items": shown, "page": page, "total": len(found)})

        return guarded(answer)

    def one(request: Request) -> Response:
        wanted = request.path_params["project_id"]
        found = next((each for each in projects() if each["id"] == wanted), None)
        return JSONResponse(found) if found else JSONResponse({"error": "no such project"}, 404)

    return Starlette(
        routes=[
            Route("/api/me", guarded(lambda request: JSONResponse({"user": "reader"}))),
            Route("/api/projects", listed(lambda request: projects())),
            Route("/api/projects/{project_id:int}", guarded(one)),
            Route(
                "/api/projects/{project_id:int}/releases",
                listed(lambda request: releases(request.path_params["project_id"])),
            ),
            Route(
                "/api/releases/{release_id:int}/cycles",
                listed(lambda request: cycles(request.path_params["release_id"])),
            ),
            Route(
                "/api/cycles/{cycle_id:int}/executions",
                listed(lambda request: executions(request.path_params["cycle_id"])),
            ),
        ]
    )


def main() -> None:
    """Serve it until Ctrl-C."""
    import uvicorn

    parser = argparse.ArgumentParser(description="A small test management API.")
    parser.add_argument("--port", type=int, default=8765)
    port = parser.parse_args().port
    uvicorn.run(create_app(os.environ.get("TESTHUB_TOKEN", TOKEN)), host="127.0.0.1", port=port, log_level="warning")


if __name__ == "__main__":
    main()
