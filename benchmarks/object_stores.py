"""The S3 path against the local path, and listings of many objects, against moto's server in this machine.

    python -m benchmarks.object_stores [--repeats 3] [--objects 100000]

The server shares the processor with the run, which a store does not; what is measured is facetmine's requests and
copies, not a network.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.process import captions, facetmine, measure
from pipeline.readers import parse_input, plan
from pipeline.store import Store
from schemas.places import write_whole

BUCKET = "facetmine-bench"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3, help="runs of each, of which the median counts")
    parser.add_argument("--captions", type=int, default=40_000, help="captions of a run")
    parser.add_argument("--objects", type=int, default=100_000, help="objects in the folder that is listed")
    given = parser.parse_args()
    console = Console(width=110)
    with tempfile.TemporaryDirectory() as folder, _s3() as backend:
        source = Path(captions(Path(folder))[0])
        local = Path(folder, f"input{source.suffix}")
        with source.open("rb") as lines:
            local.write_bytes(b"".join(line for _, line in zip(range(given.captions), lines, strict=False)))
        write_whole(f"s3://{BUCKET}/in/{local.name}", local.read_bytes())
        seconds: dict[str, list[float]] = {"local": [], "S3": []}
        for repeat in range(given.repeats):
            for name, root in (("local", folder), ("S3", f"s3://{BUCKET}")):
                place = str(local) if name == "local" else f"s3://{BUCKET}/in/{local.name}"
                run = measure(facetmine("run", "--input", place, "--output", f"{root}/out{repeat}"))
                seconds[name].append(run.seconds)
        table = Table("path", "seconds, median", "runs")
        for name, runs in seconds.items():
            table.add_row(name, f"{statistics.median(runs):.1f}", ", ".join(f"{run:.1f}" for run in runs))
        console.print(table)
        ratios = [s3 / here for here, s3 in zip(seconds["local"], seconds["S3"], strict=True)]
        console.print(f"the S3 path takes {statistics.median(ratios):.2f} times as long")

        for number in range(given.objects):
            backend.put_object(BUCKET, f"many/part-{number:06d}.tsv", b"a dog\thttp://x/1.jpg\n")
        began = time.monotonic()
        names = len(Store(f"s3://{BUCKET}").names("many"))
        listed = time.monotonic() - began
        began = time.monotonic()
        _, files, _ = plan([parse_input(f"s3://{BUCKET}/many")])
        planned = time.monotonic() - began
        console.print(
            f"{names:,} objects: listed in {listed:.1f} s; {len(files):,} as input planned in {planned:.1f} s"
        )


@contextmanager
def _s3() -> Iterator[Any]:
    """Moto's server in this process, whose store can be filled without requests."""
    from moto.core.models import DEFAULT_ACCOUNT_ID
    from moto.s3.models import s3_backends
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    os.environ |= {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}", "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true",
    }  # fmt: skip
    try:
        backend = s3_backends[DEFAULT_ACCOUNT_ID]["aws"]
        backend.create_bucket(BUCKET, "us-east-1")
        yield backend
    finally:
        server.stop()


if __name__ == "__main__":
    main()
