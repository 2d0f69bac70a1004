"""`python -m lakeflow_job_meta.local --home H`: the server in this process."""

from lakeflow_job_meta.local.server import main

if __name__ == "__main__":
    raise SystemExit(main())
