"""SQL warehouses: one is listed; by id any exists, unless the server is strict."""

from __future__ import annotations

from lakeflow_job_meta.local.call import Answer, Call, Route, invalid, missing, reply

LOCAL_WAREHOUSE = "10ca100000000000"


def list_(call: Call) -> Answer:
    """The one warehouse there is."""
    return reply({"warehouses": [_shown(LOCAL_WAREHOUSE)]})


def get(call: Call) -> Answer:
    """A warehouse by id; any exists unless the server is strict."""
    warehouse_id = call.parts["id"]
    if call.options.strict and warehouse_id != LOCAL_WAREHOUSE:
        missing(f"SQL warehouse {warehouse_id} does not exist.")
    return reply(_shown(warehouse_id))


def require(call: Call, warehouse_id: str) -> None:
    """Refuse a reference to a warehouse that isn't there (a strict server only).

    Raises:
        Refusal: 400 INVALID_PARAMETER_VALUE.
    """
    if call.options.strict and warehouse_id and warehouse_id != LOCAL_WAREHOUSE:
        invalid(f"SQL warehouse {warehouse_id} does not exist.")


def _shown(warehouse_id: str) -> dict[str, object]:
    name = "Local" if warehouse_id == LOCAL_WAREHOUSE else f"Warehouse {warehouse_id}"
    return {
        "id": warehouse_id, "name": name, "state": "RUNNING", "cluster_size": "2X-Small", "warehouse_type": "PRO",
        "enable_serverless_compute": True, "auto_stop_mins": 10, "min_num_clusters": 1, "max_num_clusters": 1,
        "num_clusters": 1, "health": {"status": "HEALTHY"},
    }  # fmt: skip


ROUTES = (
    Route("GET", "/api/2.0/sql/warehouses", list_),
    Route("GET", "/api/2.0/sql/warehouses/{id}", get),
)
