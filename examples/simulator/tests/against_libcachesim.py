#!/usr/bin/env python3
"""Compares the plain models with libCacheSim: the misses, which must be equal, and the processor time
of reading and replaying the same trace, in the same run.

    pip install libcachesim==0.3.5
    cargo build --release -p pinfold-sim
    python3 against_libcachesim.py target/release/pinfold-sim [REQUESTS OBJECTS FRAMES...]
"""

import re
import resource
import subprocess
import sys
import tempfile
import time

import libcachesim

MODELS = {"lru": libcachesim.LRU, "fifo": libcachesim.FIFO, "clock": libcachesim.Clock}


def theirs(cache, trace, frames):
    reader = libcachesim.TraceReader(
        trace=trace,
        trace_type=libcachesim.TraceType.ORACLE_GENERAL_TRACE,
        reader_init_params=libcachesim.ReaderInitParam(ignore_obj_size=True),
    )
    start = time.process_time()
    miss_ratio, _ = cache(cache_size=frames).process_trace(reader)
    seconds = time.process_time() - start
    return round(miss_ratio * reader.get_num_of_req()), seconds


def ours(sim, model, trace, frames):
    command = [sim, trace, "--model", model, "--frames", str(frames)]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return int(re.search(r"(\d+) misses", text)[1]), seconds


def main():
    sim, *numbers = sys.argv[1:]
    requests, objects, *frames = map(int, numbers or [300000, 20000, 500, 3000, 10000])
    differ = 0
    with tempfile.TemporaryDirectory() as folder:
        trace = f"{folder}/zipf.oracleGeneral"
        size = ["--requests", str(requests), "--objects", str(objects)]
        subprocess.run([sim, "generate", trace, *size], check=True)
        for model, cache in MODELS.items():
            for count in frames:
                (misses, base), (found, seconds) = (
                    theirs(cache, trace, count),
                    ours(sim, model, trace, count),
                )
                differ += misses != found
                print(
                    f"{model} on {count} frames: misses {misses} and {found}; "
                    f"processor time {seconds / base:.2f} of libCacheSim's"
                )
    sys.exit(differ != 0)


main()
