"""An OpenAPI document from a URL: public, read once, within limits."""

from __future__ import annotations

from lakeflow_job_meta.errors import InputError
from lakeflow_job_meta.reader.document import Reading, read_text
from lakeflow_job_meta.reader.limits import MAX_BYTES

SECONDS = 30.0


def fetch_document(url: str) -> Reading:
    """Read a YAML or JSON document; no login is sent.

    Raises:
        InputError: it can't be had, or is too large.
    """
    import httpx

    data = b""
    try:
        with httpx.stream("GET", url, timeout=SECONDS, follow_redirects=True) as answer:
            if answer.status_code != 200:
                raise InputError(f"{url} answers with status {answer.status_code}")
            for part in answer.iter_bytes():
                data += part
                if len(data) > MAX_BYTES:
                    raise InputError(f"{url} is larger than {MAX_BYTES // 2**20} MiB")
        return read_text(data.decode("utf-8"), url)
    except httpx.HTTPError as error:
        raise InputError(f"{url} can't be read: {type(error).__name__}") from None
    except UnicodeDecodeError:
        raise InputError(f"{url} is not UTF-8") from None
