"""Long jobs come in pages: at most 100 entries of each list at a time."""

from __future__ import annotations

from lakeflow_job_meta.local.call import invalid
from lakeflow_job_meta.local.job_settings import LIST_KEYS, Settings
from lakeflow_job_meta.local.paging import decode_token

PAGE = 100
NEVER_LISTED = ("parameters", "environments", "environment_variables")


def page_number(token: str | None) -> int:
    """Which page a token asks for, counting from 0.

    Raises:
        Refusal: 400, for a token that isn't one.
    """
    return int(decode_token(token)) if token else 0


def page(settings: Settings, number: int) -> tuple[Settings, bool]:
    """One page of `jobs/get`, and whether more follow. A list that earlier pages held whole is left out.

    Raises:
        Refusal: 400, for a page behind the last one.
    """
    start, shown, more = number * PAGE, dict(settings), False
    longest = max((len(settings.get(name, [])) for name in LIST_KEYS), default=0)
    if number and start >= longest:
        invalid("Invalid page_token: there is no such page.")
    for name in LIST_KEYS:
        if name not in settings:
            continue
        entries = settings[name][start : start + PAGE]
        more = more or len(settings[name]) > start + PAGE
        if entries or not number:
            shown[name] = entries
        else:
            del shown[name]
    return shown, more


def shortened(settings: Settings) -> tuple[Settings, bool]:
    """A job as `jobs/list` with expand_tasks shows it, and whether entries are left out."""
    shown, more = page({name: value for name, value in settings.items() if name not in NEVER_LISTED}, 0)
    return shown, more
