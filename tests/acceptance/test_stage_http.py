"""How the source stage asks an API: each way to log in as the API sees it, certificates, documents within limits."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from lakeflow_job_meta.errors import InputError
from lakeflow_job_meta.stages.http.failure import NoAnswer
from tests.certificate import certificate
from tests.source_api import answering, running
from tests.stage_ground import Ground

TOKEN = "testhub-example-token"


def only(hub: Ground, auth: dict[str, Any], **values: Any) -> None:
    """A stage file with one endpoint and this login."""
    whole = {
        "source_system": "testhub", "base_url": "env:TESTHUB_URL", "auth": auth,
        "endpoints": [{"path": "/projects"}], "limits": {"retries": 0},
    }  # fmt: skip
    hub.config.write_text(json.dumps({**whole, **values}), "utf-8")


@pytest.mark.parametrize(
    ("auth", "header", "expected"),
    [
        ({"method": "api_token", "token": "env:TESTHUB_TOKEN"}, "x-api-token", TOKEN),
        ({"method": "api_token", "token": "env:TESTHUB_TOKEN", "header": "X-Key"}, "x-key", TOKEN),
        ({"method": "bearer", "token": "env:TESTHUB_TOKEN"}, "authorization", f"Bearer {TOKEN}"),
        ({"method": "bearer", "token": "env:TESTHUB_TOKEN", "prefix": "Token"}, "authorization", f"Token {TOKEN}"),
        (
            {"method": "basic", "username": "ana", "password": "env:TESTHUB_TOKEN"},
            "authorization", f"Basic {base64.b64encode(f'ana:{TOKEN}'.encode()).decode()}",
        ),
    ],
)  # fmt: skip
def test_each_way_to_log_in_sends_its_header(hub: Ground, auth: dict[str, Any], header: str, expected: str) -> None:
    only(hub, auth)
    hub.api.fault("/projects", answering(200, b'{"items": [{"id": 1}]}'))
    hub.run()
    assert {headers[header] for _, headers in hub.api.requests} == {expected}
    (row,) = hub.rows("source.credentials")
    assert (row["credential_type"], row["credential_value"]) == (auth["method"], "***ken")


def test_a_certificate_that_nobody_vouches_for_is_refused_before_the_login_is_sent(
    hub: Ground, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = certificate(tmp_path)
    with running(hub.api.app, shown) as secured:
        monkeypatch.setenv("TESTHUB_URL", f"{secured.url}/api")
        with pytest.raises(NoAnswer, match="CERTIFICATE_VERIFY_FAILED"):
            hub.run()
        assert secured.requests == []
        monkeypatch.setenv("SSL_CERT_FILE", str(shown[0]))
        assert hub.run().endpoint_success_count == 6


def test_the_address_may_be_a_secret_of_the_workspace(hub: Ground) -> None:
    hub.change(base_url="{{secrets/hub/url}}")
    assert hub.stage().config.base_url == "{{secrets/hub/url}}"


def test_an_openapi_document_that_is_too_large_is_refused(hub: Ground) -> None:
    endless = answering(200, b"#" * (16 * 2**20 + 1), b"text/yaml")
    hub.api.fault("/openapi.yaml", endless)
    hub.change(openapi=f"{hub.api.url}/openapi.yaml")
    with pytest.raises(InputError, match="larger than 16 MiB"):
        hub.stage()
    file = hub.folder / "examples/source_stage/testhub.openapi.yaml"
    file.write_bytes(b"#" * (16 * 2**20 + 1))
    hub.change(openapi="../../examples/source_stage/testhub.openapi.yaml")
    with pytest.raises(InputError, match="larger than 16 MiB"):
        hub.stage()


def test_an_openapi_document_with_too_many_endpoints_is_refused(hub: Ground) -> None:
    document = {"openapi": "3.0.3", "paths": {f"/p{number}": {"get": {}} for number in range(5_001)}}
    (hub.folder / "examples/source_stage/testhub.openapi.yaml").write_text(json.dumps(document), "utf-8")
    with pytest.raises(InputError, match="5001 endpoints, at most 5000 are read"):
        hub.stage()
