"""Servers under test: started on the loopback with a directory of their own, watched, and stopped by their pid."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request

# Whoever ends a benchmark ends its servers: SIGTERM unwinds like an interrupt.
signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))

# A server that has not stopped by then is killed.
STOP_SECONDS = 60
TICKS = os.sysconf("SC_CLK_TCK")


def free_ports(count):
    """Ports that nobody listens on now."""
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def children(pid):
    """The process and all below it."""
    found = [pid]
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/children") as text:
                for child in text.read().split():
                    found += children(int(child))
    except OSError:
        pass
    return found


def usage(pid):
    """Processor seconds, resident bytes and bytes written to disk of a process and those below it."""
    total = {"cpu": 0.0, "resident": 0, "written": 0}
    for each in children(pid):
        try:
            with open(f"/proc/{each}/stat") as text:
                fields = text.read().rsplit(")", 1)[1].split()
            # Its own time, and that of its children that have ended.
            total["cpu"] += sum(int(field) for field in fields[11:15]) / TICKS
            total["resident"] += int(fields[21]) * os.sysconf("SC_PAGE_SIZE")
            with open(f"/proc/{each}/io") as text:
                counts = dict(line.split(": ") for line in text.read().splitlines())
            total["written"] += int(counts["write_bytes"])
        except (OSError, KeyError, IndexError):
            continue
    return total


class Server:
    """One server process. `ready` is called until it answers true."""

    def __init__(self, name, command, port, ready=None, environment=None, log=None, stop_signal=signal.SIGTERM):
        self.name = name
        self.command = command
        self.port = port
        self.ready = ready or (lambda: accepts(port))
        self.environment = environment or {}
        self.log = log
        self.stop_signal = stop_signal
        self.process = None
        # Bytes that the process gave to the disk in its whole life; known when it has ended.
        self.written_bytes = None

    def __enter__(self):
        log = open(self.log, "w") if self.log else subprocess.DEVNULL
        self.process = subprocess.Popen(
            self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
            env={**os.environ, **self.environment})
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise SystemExit(f"{self.name} ended with {self.process.returncode} at its start; see {self.log}")
            if self.ready():
                return self
            time.sleep(0.05)
        self.__exit__()
        raise SystemExit(f"{self.name} was not ready within 60 s; see {self.log}")

    def __exit__(self, *_):
        if self.process is None or self.process.poll() is not None:
            return
        self.process.send_signal(self.stop_signal)
        deadline = time.monotonic() + STOP_SECONDS
        while not self.reap(os.WNOHANG):
            if time.monotonic() > deadline:
                for pid in reversed(children(self.process.pid)):
                    os.kill(pid, signal.SIGKILL)
                self.reap(0)
                return
            time.sleep(0.02)

    def reap(self, options):
        """Whether the process has ended; keeps what it used."""
        pid, status, used = os.wait4(self.process.pid, options)
        if pid == 0:
            return False
        self.process.returncode = os.waitstatus_to_exitcode(status)
        self.written_bytes = used.ru_oublock * 512
        return True

    def usage(self):
        return usage(self.process.pid)


def accepts(port):
    """Whether somebody accepts connections on the port."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        return True
    except OSError:
        return False


def answers(url):
    """Whether a GET of `url` is answered 200."""
    try:
        with urllib.request.urlopen(url, timeout=1) as answer:
            return answer.status == 200
    except OSError:
        return False
