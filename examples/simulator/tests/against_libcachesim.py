#!/usr/bin/env python3
"""Holds the plain models' misses against libCacheSim's.

    pip install libcachesim==0.3.5
    cargo build --release -p pinfold-sim
    python3 against_libcachesim.py target/release/pinfold-sim [REQUESTS OBJECTS FRAMES...]
"""

import re
import subprocess
import sys
import tempfile

import libcachesim

MODELS = {"lru": libcachesim.LRU, "fifo": libcachesim.FIFO, "clock": libcachesim.Clock}


def theirs(cache, trace, frames):
    reader = libcachesim.TraceReader(
        trace=trace,
        trace_type=libcachesim.TraceType.ORACLE_GENERAL_TRACE,
        reader_init_params=libcachesim.ReaderInitParam(ignore_obj_size=True),
    )
    miss_ratio, _ = cache(cache_size=frames).process_trace(reader)
    return round(miss_ratio * reader.get_num_of_req())


def ours(sim, model, trace, frames):
    command = [sim, trace, "--model", model, "--frames", str(frames)]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return int(re.search(r"(\d+) misses", text)[1])


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
                pair = theirs(cache, trace, count), ours(sim, model, trace, count)
                differ += pair[0] != pair[1]
                print(f"{model} on {count} frames: libCacheSim {pair[0]}, pinfold-sim {pair[1]}")
    sys.exit(differ != 0)


main()
