"""Finding the handler of a request: all services' routes in one table."""

from __future__ import annotations

import re
from collections.abc import Iterable

from lakeflow_job_meta.local import (
    folder_permissions,
    identity,
    jobs,
    permissions,
    queries,
    secrets,
    volumes,
    warehouses,
    workspace_files,
)
from lakeflow_job_meta.local.call import Refusal, Route
from lakeflow_job_meta.local.runs import calls, repair_call

ROUTES: tuple[Route, ...] = (
    *jobs.ROUTES,
    *calls.ROUTES,
    *repair_call.ROUTES,
    *permissions.ROUTES,
    *folder_permissions.ROUTES,
    *queries.ROUTES,
    *warehouses.ROUTES,
    *workspace_files.ROUTES,
    *volumes.ROUTES,
    *secrets.ROUTES,
    *identity.ROUTES,
)
PLACEHOLDER = re.compile(r"\{(\w+)(\.\.\.)?\}")


class RouteTable:
    """Exact paths by dictionary, those with placeholders by pattern."""

    def __init__(self, routes: Iterable[Route] = ROUTES) -> None:
        self._exact: dict[str, dict[str, Route]] = {}
        self._patterns: dict[str, tuple[re.Pattern[str], dict[str, Route]]] = {}
        for route in routes:
            if "{" not in route.path:
                self._exact.setdefault(route.path, {})[route.method] = route
                continue
            text = PLACEHOLDER.sub(lambda m: f"(?P<{m[1]}>{'.+' if m[2] else '[^/]+'})", route.path)
            self._patterns.setdefault(text, (re.compile(text), {}))[1][route.method] = route

    def find(self, method: str, path: str) -> tuple[Route, dict[str, str]]:
        """The route of a request and what its placeholders matched.

        Raises:
            Refusal: 404 for a path that isn't served, 405 for a method that isn't.
        """
        if (methods := self._exact.get(path)) is not None:
            return _of_method(methods, method, path), {}
        for pattern, methods in self._patterns.values():
            if (match := pattern.fullmatch(path)) is not None:
                return _of_method(methods, method, path), match.groupdict()
        raise Refusal(404, "ENDPOINT_NOT_FOUND", f"No API found for '{method} {path}' in the embedded workspace.")


def _of_method(methods: dict[str, Route], method: str, path: str) -> Route:
    if (route := methods.get(method)) is not None:
        return route
    message = f"{path} answers {', '.join(sorted(methods))}, not {method}."
    raise Refusal(405, "METHOD_NOT_ALLOWED", message, {"Allow": ", ".join(sorted(methods))})
