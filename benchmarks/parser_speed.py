"""One parser in a fresh process, measured: ``python -m benchmarks.parser_speed NAME CAPTIONS SECONDS``, JSON out.

Imports nothing of its own before the clock runs, so that time and memory are the parser's.
"""

import json
import resource
import sys
import time

CAPTIONS_PER_CALL = 2000


def main() -> None:
    name, path, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])
    with open(path, encoding="utf-8") as file:  # noqa: PTH123 pathlib is an import that the parser may not need
        captions = file.read().splitlines()
    began = time.perf_counter()
    if name == "sng_parser":
        from benchmarks.peer import SngParser

        parse = SngParser().parse
        call = 50  # it has no batches; so that it ends in time
    else:
        import parsers

        parse = parsers.load(name).parse
        call = CAPTIONS_PER_CALL
    parse(captions[:1])
    loaded = time.perf_counter() - began
    loaded_peak = _peak_megabytes()
    began, parsed, start = time.perf_counter(), 0, 0
    while (passed := time.perf_counter() - began) < seconds:
        batch = captions[start : start + call]
        parse(batch)
        parsed += len(batch)
        start = (start + call) % len(captions)
    result = {
        "load_seconds": loaded,
        "loaded_megabytes": loaded_peak,
        "captions_a_second": parsed / passed,
        "peak_megabytes": _peak_megabytes(),
    }
    print(json.dumps(result))


def _peak_megabytes() -> float:
    """Most resident memory so far. On Linux ``ru_maxrss`` starts at that of the process that started this one."""
    try:
        with open("/proc/self/status", encoding="ascii") as file:  # noqa: PTH123
            return next(int(line.split()[1]) for line in file if line.startswith("VmHWM")) * 1024 / 1e6
    except (OSError, StopIteration):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000


if __name__ == "__main__":
    main()
