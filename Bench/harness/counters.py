"""Exact counts of what a server does for one request: they are the same on a busy machine and on an idle one.

Each pass starts the server anew, in the way that the pass needs: with the counting library before the C library, under
strace, or under callgrind.
"""

import contextlib
import os
import re
import shutil
import signal
import struct
import subprocess
import time

from . import systems

WORDS = ["allocations", "allocated-bytes", "frees", "copied-bytes", "syncs", "loop-wakeups"]
WORKLOADS = {"GET": "get", "PUT": "put"}
WARM_UP_REQUESTS = 2000


def start(stack, name, root, products, environment=None, prefix=()):
    """`keystead` or `bare`, running until `stack` is left."""
    if name == "keystead":
        system = systems.keystead(root, products)
    else:
        system = systems.bare_http(root, products)
    system.server.environment = environment or {}
    system.server.command = [*prefix, *system.server.command]
    stack.enter_context(system.server)
    return system


def skip(system):
    return [] if "--skip-load" in system.options else ["--skip-load"]


def requests(load, system, workload, count):
    """Makes `count` requests and answers how many were made; ends the program where one was not answered well."""
    report = load.generate(system, WORKLOADS[workload], ["--operations", str(count), *skip(system)])
    if report["errors"] or not report["sound"]:
        raise SystemExit(f"{system.name} did not answer {workload} well: {report['errors-by-kind']}")
    return report["operations"]


# What the C library is asked for


def library(root, source):
    path = os.path.join(root, "counter.so")
    subprocess.run(
        ["cc", "-O2", "-Wall", "-Wextra", "-Werror", "-fPIC", "-shared", "-o", path, source, "-ldl"], check=True)
    return path


def calls(name, root, products, load, counter, count, tries=3):
    """{workload: {what: per request}}: allocations, copies, syncs, wake-ups and sleeps.

    The least of some tries counts, less what the server does in as much time by itself: what others (a flush, a timer)
    do only adds.
    """
    path = os.path.join(root, f"{name}.counts")
    with contextlib.ExitStack() as stack:
        environment = {"LD_PRELOAD": counter, "KEYSTEAD_COUNTER_FILE": path}
        system = start(stack, name, root, products, environment)
        load.load_records(system)
        found = {}
        for workload in WORKLOADS:
            requests(load, system, workload, WARM_UP_REQUESTS)
            found[workload] = least([one_try(load, system, workload, path, count) for _ in range(tries)])
        return found


def one_try(load, system, workload, path, count):
    look = lambda: {**words(path), "sleeps": sleeps(system.server.process.pid)}
    began, before = time.monotonic(), look()
    done = requests(load, system, workload, count)
    length, after = time.monotonic() - began, look()
    time.sleep(min(2, length))
    idle = look()
    share = lambda name: (idle[name] - after[name]) / min(2, length) * length
    return {name: (after[name] - before[name] - share(name)) / done for name in after if name != "frees"}


def least(tries):
    return {name: round(max(0, min(each[name] for each in tries)), 2) for name in tries[0]}


def words(path):
    with open(path, "rb") as file:
        return dict(zip(WORDS, struct.unpack(f"={len(WORDS)}Q", file.read(8 * len(WORDS)))))


def sleeps(pid):
    """How often threads of the process have waited for something: each is a wake-up that somebody paid for."""
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        with contextlib.suppress(OSError), open(f"/proc/{pid}/task/{task}/status") as lines:
            total += sum(int(line.split()[1]) for line in lines if line.startswith("voluntary_ctxt_switches"))
    return total


# System calls


def syscalls(name, root, products, load, count):
    """{workload: {call: per request}} as strace counts them."""
    with contextlib.ExitStack() as stack:
        system = start(stack, name, root, products)
        load.load_records(system)
        found = {}
        for workload in WORKLOADS:
            requests(load, system, workload, WARM_UP_REQUESTS)
            output = os.path.join(root, f"{name}.strace")
            tracer = subprocess.Popen(
                ["strace", "-c", "-f", "-q", "-o", output, "-p", str(system.server.process.pid)],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            wait_for(lambda: traced(system.server.process.pid, tracer.pid), f"strace of {name}")
            done = requests(load, system, workload, count)
            tracer.send_signal(signal.SIGINT)
            tracer.wait(30)
            found[workload] = {call: round(made / done, 2) for call, made in parse_strace(output) if made > 0.02 * done}
        return found


def traced(pid, tracer):
    """Whether every thread of the process is traced."""
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/status") as lines:
            if not any(line.split() == ["TracerPid:", str(tracer)] for line in lines):
                return False
    return True


def parse_strace(path):
    with open(path) as lines:
        for line in lines:
            fields = line.split()
            if len(fields) >= 5 and re.fullmatch(r"[0-9.]+", fields[0]) and fields[-1] != "total":
                yield fields[-1], int(fields[3])


# Instructions


def instructions(name, root, products, load, count):
    """{workload: instructions per request} in user mode, as the processor counts them.

    `None` where it does not let them be counted (most virtual machines). callgrind is no way out: the server's main
    thread ends in libdispatch, which it does not survive.
    """
    if not counts_instructions():
        return None
    with contextlib.ExitStack() as stack:
        system = start(stack, name, root, products)
        load.load_records(system)
        found = {}
        for workload in WORKLOADS:
            requests(load, system, workload, WARM_UP_REQUESTS)
            output = os.path.join(root, f"{name}.perf")
            counter = subprocess.Popen(
                ["perf", "stat", "-x,", "-e", "instructions:u", "-o", output, "-p", str(system.server.process.pid)],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(0.5)
            done = requests(load, system, workload, count)
            counter.send_signal(signal.SIGINT)
            counter.wait(30)
            found[workload] = round(parse_perf(output) / done)
    return found


def counts_instructions():
    """Whether perf is there and the processor's counters are."""
    try:
        done = subprocess.run(
            ["perf", "stat", "-x,", "-e", "instructions:u", "true"], capture_output=True, text=True)
    except FileNotFoundError:
        return False
    return done.returncode == 0 and done.stderr.split(",")[0].strip().isdigit()


def parse_perf(path):
    with open(path) as lines:
        return next(int(line.split(",")[0]) for line in lines if "instructions" in line)


def wait_for(condition, what, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"{what} took longer than {seconds} s")
        time.sleep(0.05)
