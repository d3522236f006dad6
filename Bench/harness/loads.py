"""One measured load on one system: the load generator's report, or pgbench's log in the same shape."""

import glob
import json
import os
import subprocess
import tempfile


class Load:
    """What every measurement of a comparison has in common."""

    def __init__(self, products, seconds=5.0, warmup=1.0, connections=64, records=20_000, value_bytes=1024):
        self.generator = os.path.join(products, "load")
        self.seconds = seconds
        self.warmup = warmup
        self.connections = connections
        self.records = records
        self.value_bytes = value_bytes

    def settings(self):
        return (
            f"{self.connections} connections, {self.value_bytes} bytes, {self.records} records, {self.seconds} s a "
            f"measurement after {self.warmup} s of warm-up, one generator thread beside the servers")

    def load_records(self, system):
        """Writes the records that reads will ask for."""
        if system.dialect == "pgbench":
            system.load(self.records)
        elif "--skip-load" not in system.options:
            self.generate(system, "put", ["--only-load"])

    def verify_records(self, system):
        """Reads records with the content of each compared; how many answers were none or wrong."""
        report = self.generate(system, "get", [
            "--skip-load", "--operations", str(2 * self.records), "--verify-every", "1"])
        return report["errors"] + (0 if report["sound"] else 1)

    def measure(self, system, workload, rate=None, seconds=None):
        """One run: the report, with what the server used meanwhile beside it."""
        before = system.usage()
        seconds = seconds or self.seconds
        if system.dialect == "pgbench":
            report = self.pgbench(system, workload, rate, seconds)
        else:
            report = self.generate(system, workload, self.timing(workload, rate, seconds))
        after = system.usage()
        operations = max(1, report["operations"])
        report["server-cpu-microseconds-per-operation"] = 1e6 * (after["cpu"] - before["cpu"]) / operations \
            * seconds / (seconds + self.warmup)
        report["server-written-bytes-per-operation"] = (after["written"] - before["written"]) / operations \
            * seconds / (seconds + self.warmup)
        report["server-resident-bytes"] = after["resident"]
        return report

    def timing(self, workload, rate, seconds):
        options = ["--duration", str(seconds), "--warmup", str(self.warmup)]
        if rate:
            options += ["--rate", f"{rate:.0f}"]
        if not workload.startswith("hot"):
            options.append("--skip-load")
        return options

    def generate(self, system, workload, options):
        command = [
            self.generator, "--dialect", system.dialect, "--port", str(system.server.port),
            "--connections", str(self.connections), "--records", str(self.records),
            "--value-bytes", str(self.value_bytes), "--output", "json",
        ]
        asked = {
            "hot": ["--workload", "hot", "--kind", "hot"],
            "hot-put": ["--workload", "hot", "--hot-update", "put"],
        }.get(workload, ["--workload", workload])
        done = subprocess.run(command + system.options + asked + options, capture_output=True, text=True, timeout=600)
        if not done.stdout.strip():
            raise SystemExit(f"the load on {system.name} failed: {done.stderr.strip()}")
        return json.loads(done.stdout)

    def pgbench(self, system, workload, rate, seconds):
        statement = {"put": system.upsert, "get": system.select, "hot": system.count}[workload]
        with tempfile.TemporaryDirectory() as directory:
            script = os.path.join(directory, "script.sql")
            with open(script, "w") as file:
                file.write(f"\\set id random(0, {self.records - 1})\n{statement}\n")
            command = [
                f"{system.binaries}/pgbench", "-h", "127.0.0.1", "-p", str(system.server.port), "-U", "postgres", "-n",
                "-M", "prepared", "-c", str(self.connections), "-j", "1", "-f", script,
                "-D", f"payload={system.payload()}",
            ]
            if rate:
                command += ["--rate", f"{rate:.0f}"]
            run = lambda length, *more: subprocess.run(
                [*command, "-T", f"{max(1, round(length))}", *more, "postgres"], capture_output=True, text=True,
                cwd=directory)
            run(self.warmup)
            # pgbench counts the time that its clients take to connect.
            done = run(seconds + 1, "-l")
            report = read_pgbench_log(directory) if done.returncode == 0 else None
            if report is None:
                raise SystemExit(f"pgbench completed nothing: {done.stderr.strip()}")
            return report


def alone(products, root, part, group=64, seconds=1.0, records=20_000, value_bytes=1024):
    """The node's log or RocksDB without a server: {name: report} of `alone`, which runs in the measured process."""
    done = subprocess.run(
        [os.path.join(products, "alone"), part, root, "--groups", str(group), "--seconds", str(seconds),
         "--records", str(records), "--value-bytes", str(value_bytes)], capture_output=True, text=True, timeout=600)
    if done.returncode != 0:
        raise SystemExit(f"alone {part} failed: {done.stderr.strip()}")
    reports = [json.loads(line) for line in done.stdout.splitlines()]
    return {report.pop("name"): report for report in reports}


PERCENTILES = [0, 10, 25, 50, 75, 90, 95, 97.5, 99, 99.5, 99.75, 99.9, 99.95, 99.99, 99.999, 100]


def read_pgbench_log(directory):
    """pgbench's log of every transaction: latency in its third column, when it ended in the fifth and sixth.

    `None` where not one is in it.
    """
    latencies, ends = [], []
    for path in glob.glob(os.path.join(directory, "pgbench_log.*")):
        with open(path) as lines:
            for line in lines:
                fields = line.split()
                latencies.append(int(fields[2]))
                ends.append(int(fields[4]) + int(fields[5]) / 1e6)
    if not latencies:
        return None
    latencies.sort()
    elapsed = max(ends) - min(ends) if len(ends) > 1 else 1
    at = lambda percentile: latencies[min(len(latencies) - 1, int(percentile / 100 * len(latencies)))]
    summary = {
        "operation": "all", "count": len(latencies), "mean": sum(latencies) / len(latencies), "p50": at(50),
        "p90": at(90), "p99": at(99), "p99.9": at(99.9), "max": latencies[-1],
        "curve": [[percentile, at(percentile)] for percentile in PERCENTILES],
    }
    return {
        "dialect": "pgbench", "operations": len(latencies), "elapsed-seconds": elapsed,
        "operations-per-second": len(latencies) / elapsed, "errors": 0, "errors-by-kind": [], "sound": True,
        "generator-bound": False, "latency": [summary],
    }
