"""TicketDesk: an API of another style than TestHub: OAuth client credentials, cursors, links, offsets.

    python examples/source_stage/ticketdesk_server.py --port 8766

It answers what metadata/stages/ticketdesk.yml describes.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs
from uuid import uuid4

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

CLIENT_ID, CLIENT_SECRET = "ticketdesk-example", "ticketdesk-example-secret"
CUSTOMERS, TICKETS, EVENTS, ORDERS = 12, 30, 25, 3
SIZE = 5


@dataclass
class Tokens:
    """The tokens that were given out, and when each ends."""

    lasts_seconds: float = 3600
    ends: dict[str, float] = field(default_factory=dict[str, float])

    def new(self) -> str:
        """Give one out."""
        token = f"tok-{uuid4().hex}"
        self.ends[token] = time.monotonic() + self.lasts_seconds
        return token

    def good(self, header: str) -> bool:
        """Whether a request's header holds one that hasn't ended."""
        return time.monotonic() < self.ends.get(header.removeprefix("Bearer "), 0)


def create_app(tokens: Tokens | None = None, secret: str = CLIENT_SECRET) -> Starlette:
    """The API.

    Args:
        tokens: what was given out; by default none, and each lasts an hour.
        secret: the client's secret.
    """
    given = tokens or Tokens()

    async def token(request: Request) -> Response:
        form = {name: values[0] for name, values in parse_qs((await request.body()).decode()).items()}
        wanted = {"grant_type": "client_credentials", "client_id": CLIENT_ID, "client_secret": secret}
        if any(form.get(name) != value for name, value in wanted.items()):
            return JSONResponse({"error": "invalid_client"}, 401)
        answer = {"access_token": given.new(), "token_type": "Bearer", "expires_in": int(given.lasts_seconds)}
        return JSONResponse(answer)

    def guarded(answer: Callable[[Request], Response]) -> Callable[[Request], Response]:
        def ask(request: Request) -> Response:
            good = given.good(request.headers.get("Authorization", ""))
            return answer(request) if good else JSONResponse({"error": "invalid_token"}, 401)

        return ask

    return Starlette(
        routes=[
            Route("/oauth/token", token, methods=["POST"]),
            Route("/v1/customers", guarded(customers)),
            Route("/v1/customers/{customer_id}/orders", guarded(orders)),
            Route("/v1/tickets", guarded(tickets)),
            Route("/v1/events", guarded(events)),
        ]
    )


def customers(request: Request) -> Response:
    """Pages by a cursor within the answer."""
    start = int(request.query_params.get("cursor", "0"))
    shown = [
        {"id": f"c{number}", "name": f"Customer {number}"} for number in range(start, min(start + SIZE, CUSTOMERS))
    ]
    more = str(start + SIZE) if start + SIZE < CUSTOMERS else None
    return JSONResponse({"result": {"customers": shown}, "paging": {"next": more}})


def orders(request: Request) -> Response:
    """No pages, and the answer is the list itself."""
    customer = request.path_params["customer_id"]
    return JSONResponse(
        [{"id": number, "customer": customer, "total": 9.5 * number} for number in range(1, ORDERS + 1)]
    )


def tickets(request: Request) -> Response:
    """Pages by a Link header."""
    page = int(request.query_params.get("page", "1"))
    shown: list[dict[str, Any]] = [
        {"id": number, "subject": f"Ticket {number}", "tags": ["a", "b"], "closed": number % 2 == 0}
        for number in range((page - 1) * SIZE, min(page * SIZE, TICKETS))
    ]
    following = {"Link": f'<{request.url.path}?page={page + 1}>; rel="next"'} if page * SIZE < TICKETS else {}
    return JSONResponse(shown, headers=following)


def events(request: Request) -> Response:
    """Pages by offset and limit."""
    offset, limit = (int(request.query_params.get(name, "0")) for name in ("offset", "limit"))
    shown = [{"id": number, "kind": "opened"} for number in range(offset, min(offset + (limit or SIZE), EVENTS))]
    return JSONResponse({"data": shown})


def main() -> None:
    """Serve it until Ctrl-C."""
    import uvicorn

    parser = argparse.ArgumentParser(description="A small ticket API.")
    parser.add_argument("--port", type=int, default=8766)
    port = parser.parse_args().port
    secret = os.environ.get("TICKETDESK_SECRET", CLIENT_SECRET)
    uvicorn.run(create_app(secret=secret), host="127.0.0.1", port=port, log_level="warning")


if __name__ == "__main__":
    main()
