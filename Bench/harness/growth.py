"""One node at growing sizes: what it does a second, its tail, its memory, its disk, its start."""

import json
import os
import shutil
import time
from dataclasses import dataclass, field

from . import machine, node, systems, tables
from .loads import Load
from .rounds import p99, throughput

MEASURES = [
    ("put-per-second", "PUT/s"), ("get-per-second", "GET/s"), ("put-p99-ms", "PUT p99 ms"),
    ("get-p99-ms", "GET p99 ms"), ("resident-mib", "resident MiB"), ("write-amplification", "written / accepted"),
    ("disk-bytes-per-byte", "disk / stored"), ("start-up-seconds", "start s"),
]
PLOTTED = ["put-per-second", "get-per-second"]


@dataclass
class Point:
    x: int
    records: int = 100_000
    value_bytes: int = 1024
    connections: int = 64
    cores: int = 0
    options: list = field(default_factory=list)


def measure(root, products, point, seconds):
    name = "node"
    load = Load(
        products, seconds=seconds, connections=point.connections, records=point.records, value_bytes=point.value_bytes)
    system = systems.keystead(root, products, name, options=point.options)
    if point.cores:
        cores = ",".join(map(str, range(point.cores)))
        system.server.command = ["taskset", "-c", cores, *system.server.command]
    accepted = point.records * (point.value_bytes + node.KEY_BYTES)
    try:
        with system.server:
            empty = node.settled_bytes(system)
            load.load_records(system)
        written = system.server.written_bytes - empty
        disk = node.directory_bytes(os.path.join(root, name, "data", "shards"))
        began = time.monotonic()
        with system.server:
            start_up = time.monotonic() - began
            get = load.measure(system, "get")
            put = load.measure(system, "put")
            resident = system.usage()["resident"]
    finally:
        shutil.rmtree(os.path.join(root, name))
    return {
        "x": point.x, "put-per-second": throughput(put), "get-per-second": throughput(get),
        "put-p99-ms": p99(put) / 1000, "get-p99-ms": p99(get) / 1000, "resident-mib": resident / 2**20,
        "write-amplification": written / accepted, "disk-bytes-per-byte": disk / accepted,
        "start-up-seconds": start_up, "sound": put["sound"] and get["sound"],
        "generator-bound": put["generator-bound"] or get["generator-bound"],
    }


def brief(found):
    marks = ("" if found["sound"] else "  NOT SOUND") + ("  generator-bound" if found["generator-bound"] else "")
    return ", ".join(f"{title} {found[name]:,.2f}" for name, title in MEASURES) + marks


def write(directory, facts, found, plots):
    """Writes growth.json, growth.md and a plot for each axis, and answers the Markdown."""
    os.makedirs(directory, exist_ok=True)
    with open(os.path.join(directory, "growth.json"), "w") as file:
        json.dump({"machine": facts, "growth": found}, file, indent=1)
        file.write("\n")
    parts = ["# How cost grows\n", machine.line(facts) + "\n"]
    for axis, points in found.items():
        rows = [[f"{each['x']:,}", *(f"{each[name]:,.2f}" for name, _ in MEASURES)] for each in points]
        parts += [f"## {axis}\n", tables.table([axis, *(title for _, title in MEASURES)], rows)]
        if len(points) > 1:
            series = {title: [(each["x"], each[name]) for each in points]
                      for name, title in MEASURES if name in PLOTTED}
            with open(os.path.join(directory, f"growth-{axis}.svg"), "w") as file:
                file.write(plots.growth(f"Operations a second by {axis}", axis, series))
            parts.append(f"![growth-{axis}.svg](growth-{axis}.svg)\n")
    text = "\n".join(parts)
    with open(os.path.join(directory, "growth.md"), "w") as file:
        file.write(text)
    return text
