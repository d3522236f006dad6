"""A node beyond its load: how it comes back, and what a crowd of lists takes from others."""

import re
import selectors
import socket
import statistics
import threading

from . import systems, tables
from .rounds import p99, throughput

OVERLOAD_TIMES = 3
RECOVERY_SECONDS_MAX = 15
# A second is as before when its tail is within this many times that of the same load before, and no more is left unsent
# than falls due within a millisecond: an operation or two are always due as the second ends.
RECOVERED_TIMES = 3
DUE_AT_THE_END_SECONDS = 0.001
CURSOR = re.compile(rb'"cursor":(?:"([^"]*)"|null)')
PAGE = 1000
# The end of a page, which holds its cursor.
TAIL = 4096


def as_kind(system, kind):
    """The same server, with entities of a kind of their own."""
    return systems.System(system.server, system.dialect, ["--kind", kind], system.settings)


def recovery(system, crowd, load, workload, peak):
    """Half of the peak before, three times the peak, and then half again, a second at a time until it is as before."""
    half = lambda: load.measure(system, workload, rate=peak / 2, seconds=1)
    before = p99(load.measure(system, workload, rate=peak / 2))
    crowd.measure(system, workload, rate=OVERLOAD_TIMES * peak)
    patient, load.warmup = load.warmup, 0.0
    try:
        for second in range(RECOVERY_SECONDS_MAX):
            report = half()
            report["recovery-seconds"] = second
            if p99(report) <= RECOVERED_TIMES * before and report["backlog"] <= DUE_AT_THE_END_SECONDS * peak / 2:
                break
    finally:
        load.warmup = patient
    return report


class Lists:
    """Callers that each list a whole kind, page after page, over and over."""

    def __init__(self, port, count, kind=b"bench"):
        self.kind = kind
        self.pages = 0
        self.refused = 0
        self.ends = False
        self.selector = selectors.DefaultSelector()
        for _ in range(count):
            connection = socket.create_connection(("127.0.0.1", port))
            connection.setblocking(False)
            self.selector.register(connection, selectors.EVENT_READ, {"head": b"", "tail": b"", "left": 0, "cursor": b""})
            self.ask(connection, b"")
        self.thread = threading.Thread(target=self.run)

    def ask(self, connection, cursor):
        after = b"&cursor=" + cursor if cursor else b""
        connection.send(
            b"GET /v1/entities/%s?limit=%d%s HTTP/1.1\r\nHost: localhost\r\n\r\n" % (self.kind, PAGE, after))

    def run(self):
        while not self.ends:
            for key, _ in self.selector.select(0.1):
                self.take(key.fileobj, key.data)

    def take(self, connection, state):
        part = connection.recv(1 << 20)
        if not part:
            self.selector.unregister(connection)
            return
        if not state["left"]:
            state["head"], _, body = part.partition(b"\r\n\r\n")
            state["left"] = int(re.search(rb"Content-Length: (\d+)", state["head"]).group(1))
            part = body
        state["left"] -= len(part)
        state["tail"] = (state["tail"] + part)[-TAIL:]
        if state["left"]:
            return
        if state["head"].startswith(b"HTTP/1.1 200"):
            self.pages += 1
            state["cursor"] = CURSOR.search(state["tail"]).group(1) or b""
        else:
            self.refused += 1
        self.ask(connection, state["cursor"])

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ends = True
        self.thread.join()
        for key in list(self.selector.get_map().values()):
            key.fileobj.close()
        self.selector.close()


def beside_lists(system, count, measure):
    """What `measure` finds while lists run, with their number beside it."""
    with Lists(system.server.port, count) as lists:
        report = measure()
        report["list-pages"] = lists.pages
        report["lists-refused"] = lists.refused
    return report


def curve(found, name, times):
    """(offered, answered well) a second, medians of the rounds."""
    middle = lambda key, value: statistics.median(value(each) for each in found[key])
    peak = middle(name, throughput)
    return [(each * peak, middle(f"{name} at {each:g} times", throughput)) for each in times]


def kept(report, which):
    return next(each for each in report["kept"] if each["operation"] == which)


def refusals(found):
    """p99 of refusals in milliseconds, of each overloaded run that had any."""
    runs = [each for name, reports in found.items() if name.endswith("at 3 times") for each in reports]
    return [kept(each, "refused")["p99"] / 1000 for each in runs if kept(each, "refused")["count"] > 0]


def without_refusals(found):
    """Refusals are what an overload is to bring: they make no measurement doubtful."""
    calm = {}
    for name, reports in found.items():
        calm[name] = [
            {**each, "errors": sum(kind["count"] for kind in each["errors-by-kind"] if "503" not in kind["kind"])}
            if " times" in name else each for each in reports]
    return calm


def table(found):
    rows = []
    for name, reports in found.items():
        if " at " not in name:
            continue
        middle = lambda value: statistics.median(value(each) for each in reports)
        rows.append([
            name, f"{middle(lambda each: each['rate'] or 0):,.0f}", f"{middle(throughput):,.0f}",
            f"{middle(lambda each: kept(each, 'answered')['p99']) / 1000:.1f}",
            f"{middle(lambda each: kept(each, 'refused')['count'] / each['elapsed-seconds']):,.0f}",
            f"{middle(lambda each: kept(each, 'refused')['p99']) / 1000:.1f}",
            f"{middle(lambda each: each['backlog'] / each['elapsed-seconds']):,.0f}",
        ])
    header = ["load", "offered/s", "answered well/s", "p99 from sending ms", "refused/s", "p99 of refusals ms",
              "due and never sent/s"]
    return "## Under overload\n\n" + tables.table(header, rows) + "\n"
