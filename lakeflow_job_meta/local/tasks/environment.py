"""The environment that a task's process starts with: what every program needs, and nothing that opens our doors."""

from __future__ import annotations

from collections.abc import Mapping

PLAIN = frozenset(
    (
        "PATH", "HOME", "USER", "LOGNAME", "SHELL", "TERM", "TZ", "LANG", "LANGUAGE", "TMPDIR", "PWD",
        "VIRTUAL_ENV", "CONDA_PREFIX", "PYTHONHOME", "PYTHONPATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH",
        "JAVA_HOME", "SPARK_HOME", "SPARK_CONF_DIR", "HADOOP_CONF_DIR", "DBT_PROFILES_DIR",
        "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE",
        "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy",
        "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "OMP_NUM_THREADS",
    )
)  # fmt: skip
"""Handed on as they are; with them all LC_…. A list of what is forbidden would forget one."""
MARK = "LJM_TASK_MARK"
"""By its value a task's processes are known, also those that left its process group."""


def plain(ours: Mapping[str, str]) -> dict[str, str]:
    """What of our own environment a task may see.

    >>> plain({"PATH": "/bin", "LC_ALL": "C", "DATABRICKS_TOKEN": "dapi"})
    {'PATH': '/bin', 'LC_ALL': 'C'}
    """
    return {name: value for name, value in ours.items() if name in PLAIN or name.startswith("LC_")}


def environment(ours: Mapping[str, str], added: Mapping[str, str], mark: str) -> dict[str, str]:
    """All variables of a task's process.

    Args:
        ours: the server's own; added: what the task asks for; mark: what its processes are known by.
    """
    # Unbuffered, so that who looks at the log of a running task sees what it printed.
    return {**plain(ours), "PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8", **added, MARK: mark}
