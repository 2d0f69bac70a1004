"""`python -m lakeflow_job_meta`: the same as `ljm`."""

from lakeflow_job_meta.cli.app import main

if __name__ == "__main__":
    main()
