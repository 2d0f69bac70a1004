"""`python -m benchmarks.stage`: what the source stage costs against an API that takes its time.

The API is a process of its own, so that its CPU isn't ours. The ideal is endpoints × latency ÷ concurrency. A bare
client, which only writes and reads bytes, is measured beside it: what it needs beyond the ideal is the machine's.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from lakeflow_job_meta.settings import Settings
from lakeflow_job_meta.stages import SourceStage, StageOptions

TABLE = "main.bench.control"
GOAL = 1.3
"""The wall time of asking all endpoints is to be under so many times the ideal."""

TOKEN = "benchmark-token"


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seconds: float) -> None:
    """Answer requests of one connection, each after its time."""
    body = json.dumps({"items": [{"id": number, "name": f"record {number}"} for number in range(20)]}).encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    try:
        while await reader.readuntil(b"\r\n\r\n"):
            await asyncio.sleep(seconds)
            writer.write(head + body)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def serve(seconds: float) -> None:
    """Serve on a free port, which is printed, until the process is ended."""
    server = await asyncio.start_server(lambda reader, writer: answer(reader, writer, seconds), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


async def ask_bare(url: str, endpoints: int, concurrency: int) -> None:
    """What a client does at the least: each connection asks for its share, one after the other."""
    host, port = url.removeprefix("http://").split(":")

    async def ask(first: int) -> None:
        reader, writer = await asyncio.open_connection(host, int(port))
        for number in range(first, endpoints, concurrency):
            writer.write(f"GET /e{number} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            await reader.readexactly(int(head.partition("Content-Length: ")[2].split("\r\n")[0]))
        writer.close()

    await asyncio.gather(*(ask(first) for first in range(concurrency)))


def measure(folder: Path, url: str, endpoints: int, concurrency: int) -> dict[str, Any]:
    """One bootstrap run: its figures."""
    os.environ["BENCH_TOKEN"] = TOKEN
    file = folder / "bench.yml"
    described = {
        "source_system": "bench",
        "base_url": url,
        "auth": {"method": "bearer", "token": "env:BENCH_TOKEN", "check": "/e0"},
        "endpoints": [{"path": f"/e{number}", "records": "items"} for number in range(endpoints)],
        "limits": {"concurrency": concurrency, "requests_per_second": 10_000},
    }
    file.write_text(json.dumps(described), "utf-8")
    stage = SourceStage(
        file, TABLE, StageOptions(bootstrap=True), settings=Settings(TABLE, Path(tempfile.mkdtemp(dir=folder)))
    )
    began = time.monotonic()
    asyncio.run(ask_bare(url, endpoints, concurrency))
    bare = time.monotonic() - began
    cpu, began = time.process_time(), time.monotonic()
    result = asyncio.run(stage.execute())
    whole, cpu = time.monotonic() - began, time.process_time() - cpu
    assert result.endpoint_success_count == endpoints
    (step,) = stage.store.sql("SELECT duration_seconds FROM main.log.source WHERE step = 'validate'")
    return {
        "asking_seconds": step["duration_seconds"],
        "bare_seconds": bare,
        "whole_seconds": whole,
        "cpu_ms_a_request": 1000 * cpu / endpoints,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="benchmarks.stage", description=__doc__)
    parser.add_argument("--endpoints", type=int, nargs="+", default=[500, 500, 2000])
    parser.add_argument("--latency-ms", type=float, default=50)
    parser.add_argument("--concurrency", type=int, default=16)
    parser.add_argument("--serve", action="store_true", help="be the API")
    given = parser.parse_args()
    if given.serve:
        asyncio.run(serve(given.latency_ms / 1000))
        return
    command = [sys.executable, "-m", "benchmarks.stage", "--serve", "--latency-ms", str(given.latency_ms)]
    with tempfile.TemporaryDirectory() as folder, subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as api:
        assert api.stdout is not None
        url = f"http://127.0.0.1:{api.stdout.readline().strip()}"
        try:
            for endpoints in given.endpoints:
                found = measure(Path(folder), url, endpoints, given.concurrency)
                ideal = endpoints * given.latency_ms / 1000 / given.concurrency
                ratio = found["asking_seconds"] / ideal
                figures = ", ".join(f"{name} {value:.2f}" for name, value in found.items())
                verdict = "reached" if ratio < GOAL else "missed"
                beside = found["asking_seconds"] / found["bare_seconds"]
                print(
                    f"{endpoints} endpoints: {ratio:.2f} × ideal ({ideal:.2f} s), goal {GOAL} {verdict}; "
                    f"{beside:.2f} × a bare client; {figures}"
                )
        finally:
            api.terminate()


if __name__ == "__main__":
    main()
