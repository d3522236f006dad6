"""A cluster of nodes on etcd, its admin tool, and a steady load that is watched while something goes on."""

import copy
import json
import os
import shutil
import subprocess
import threading
import time
import urllib.request

from . import systems

SETTINGS = "nodes on one etcd member, 64 shards, defaults"
# Of one run of the steady load: a phase is made of as many as it takes.
WINDOW_SECONDS = 2.0
COMMAND_SECONDS_MAX = 600
COPY_CHUNK_BYTES = 1 << 20


class Cluster:
    def __init__(self, root, products, stack):
        self.root = root
        self.products = products
        self.stack = stack
        self.nodes = []
        # What `freezes` said of nodes that have gone.
        self.past = []
        self.metadata = systems.etcd(root)
        stack.enter_context(self.metadata.server)

    def add(self, name):
        """A node that has joined; the first founds the cluster."""
        node = systems.keystead(self.root, self.products, name, options=[
            "--metadata", f"etcd://127.0.0.1:{self.metadata.server.port}", "--cluster", "bench", "--node-id", name])
        self.stack.enter_context(node.server)
        self.nodes.append(node)
        return node

    def control(self, *words):
        """What `keysteadctl` prints; it has to end with 0."""
        command = [os.path.join(self.products, "keysteadctl"), *words, "--admin", self.nodes[0].admin]
        done = subprocess.run(command, capture_output=True, text=True, timeout=COMMAND_SECONDS_MAX)
        if done.returncode != 0:
            raise SystemExit(f"{' '.join(words)} ended with {done.returncode}: {done.stderr.strip()}")
        return done.stdout

    def plan(self):
        return json.loads(self.control("rebalance", "plan", "--output", "json"))

    def commit(self, plan):
        """Seconds that the plan took."""
        began = time.monotonic()
        self.control("rebalance", "commit", plan["plan"], "--wait")
        return time.monotonic() - began

    def drain(self, name):
        self.control("node", "drain", name, "--wait")

    def remove(self, node):
        """Of a node that was drained: out of the cluster, and its process ended."""
        self.control("node", "remove", node.name)
        self.nodes.remove(node)
        self.past.append(frozen(node))
        node.server.__exit__()

    def copy_plainly(self, byte_count):
        """Seconds to copy about so many bytes of the nodes' tables file by file, each synced."""
        target = os.path.join(self.root, "plain-copy")
        os.makedirs(target)
        os.sync()
        copied, began = 0, time.monotonic()
        for directory, _, names in os.walk(self.root):
            for name in names:
                if copied >= byte_count or not name.endswith(".sst"):
                    continue
                copied += copy_file(os.path.join(directory, name), os.path.join(target, f"{copied}.sst"))
        seconds = time.monotonic() - began
        shutil.rmtree(target)
        if copied == 0:
            raise SystemExit("no node has a table to copy")
        return seconds * byte_count / copied

    def freezes(self):
        """Of all nodes: how many handovers held requests, how long on average, and the longest's class by its end."""
        found = self.past + [frozen(node) for node in self.nodes]
        count = sum(each[0] for each in found)
        return {
            "count": count, "mean": sum(each[1] for each in found) / max(1, count),
            "upper-end": max(each[2] for each in found),
        }


def copy_file(source, target):
    copied = 0
    with open(source, "rb") as reader, open(target, "wb") as writer:
        while chunk := reader.read(COPY_CHUNK_BYTES):
            copied += writer.write(chunk)
        writer.flush()
        os.fsync(writer.fileno())
    return copied


def frozen(node):
    with urllib.request.urlopen(f"{node.admin}/metrics") as answer:
        return freezes(answer.read().decode())


def freezes(metrics):
    """(count, seconds together, upper end of the highest class that has one) of a node's histogram."""
    name = "keystead_move_freeze_seconds"
    values = dict(line.rsplit(" ", 1) for line in metrics.splitlines() if line.startswith(name))
    count = float(values[f"{name}_count"])
    below, longest = 0.0, 0.0
    for key, value in values.items():
        if key.startswith(f"{name}_bucket") and float(value) > below:
            below = float(value)
            longest = float(key.split('le="')[1].split('"')[0].replace("+Inf", "inf"))
    return int(count), float(values[f"{name}_sum"]), longest


class SteadyLoad:
    """Reads and writes on schedule through one node, run after run."""

    def __init__(self, load, system, rate):
        # What fails in a warm-up would not be seen.
        self.load = copy.copy(load)
        self.load.warmup = 0
        self.system = system
        self.rate = rate

    def during(self, work, at_least):
        """Runs the load while `work` runs, and for so many seconds at least; what its callers saw."""
        failure = []

        def run():
            try:
                work()
            except BaseException as error:  # noqa: BLE001, told to the caller
                failure.append(error)

        worker = threading.Thread(target=run)
        began = time.monotonic()
        worker.start()
        windows = []
        while worker.is_alive() or time.monotonic() - began < at_least:
            windows.append(self.load.measure(self.system, "a", rate=self.rate, seconds=WINDOW_SECONDS))
        worker.join()
        if failure:
            raise failure[0]
        return {
            "seconds": time.monotonic() - began, "operations": sum(each["operations"] for each in windows),
            "errors": sum(each["errors"] for each in windows),
            "unsound": sum(not each["sound"] for each in windows),
            "p50": percentile(windows, 50), "p99": percentile(windows, 99), "p99.9": percentile(windows, 99.9),
            "max": max(each["latency"][0]["max"] for each in windows),
        }


def percentile(windows, wanted):
    """A percentile of several runs together, in microseconds, from their curves."""
    counts = [each["latency"][0]["count"] for each in windows]
    curves = [each["latency"][0]["curve"] for each in windows]
    for value in sorted({value for curve in curves for _, value in curve}):
        below = sum(count * share_below(curve, value) for count, curve in zip(counts, curves))
        if below >= wanted / 100 * sum(counts):
            return value
    return max(curve[-1][1] for curve in curves)


def share_below(curve, value):
    """Which share of a run's operations took no longer than `value`."""
    last = (0, 0)
    for percent, latency in curve:
        if latency > value:
            low, high = last[1], latency
            return (last[0] + (percent - last[0]) * (value - low) / (high - low)) / 100
        last = (percent, latency)
    return 1
