"""Markdown tables of results."""

import statistics

from .rounds import p99, throughput


def table(header, rows):
    rule = ["---"] + ["---:"] * (len(header) - 1)
    return "".join("| " + " | ".join(row) + " |\n" for row in [header, rule, *rows])


def comparisons(found):
    rows = []
    for each in found:
        target = "" if each["target"] is None else f"{'≥' if each['at-least'] else '≤'} {each['target']:g}"
        rows.append([
            each["name"], f"{each['median']:.2f}", f"{each['low']:.2f} – {each['high']:.2f}", target, each["verdict"],
            each["note"],
        ])
    return table(["ratio", "median", "middle half", "target", "verdict", "note"], rows)


def measurements(results):
    rows = []
    for name, reports in results.items():
        reports = [each for each in reports if isinstance(each, dict) and "latency" in each]
        if not reports:
            continue
        middle = lambda value: statistics.median(value(each) for each in reports)
        rows.append([
            name, f"{middle(throughput):,.0f}", milliseconds(middle(lambda each: each["latency"][0]["p50"])),
            milliseconds(middle(p99)), milliseconds(middle(lambda each: each["latency"][0]["p99.9"])),
            *server_cells(reports),
            f"{100 * middle(lambda each: each.get('generator-busiest-loop-share', 0)):.0f} %",
        ])
    return table(
        ["measurement (medians of the rounds)", "operations/s", "p50 ms", "p99 ms", "p99.9 ms", "server CPU µs/op",
         "written B/op", "resident MiB", "generator"], rows)


def node(costs):
    """What one node costs beside its throughput."""
    loaded = costs["unique"]
    rows = [
        ["resident memory, idle", f"{costs['idle-resident-bytes'] / 2**20:.0f} MiB"],
        [f"resident memory after {loaded['records']:,} unique keys", f"{loaded['resident-bytes'] / 2**20:,.0f} MiB"],
        ["bytes written by a byte accepted", f"{loaded['write-amplification']:.2f}"],
        ["disk space by a byte accepted, log not counted", f"{loaded['disk-bytes-per-byte']:.2f}"],
        ["start-up with that data", f"{loaded['start-up-seconds']:.2f} s"],
    ]
    return "## One node\n\n" + table(["what", "value"], rows) + "\n"


def phases(cycles):
    """What callers saw while a cluster changed, time and again."""
    rows = []
    for name in cycles[0]:
        found = [each[name] for each in cycles]
        middle = lambda part: statistics.median(each[part] for each in found)
        rows.append([
            name, f"{middle('seconds'):.1f}",
            *(f"{sum(each[part] for each in found):,}" for part in ("operations", "errors")),
            *(milliseconds(middle(part)) for part in ("p50", "p99", "p99.9", "max"))])
    return "## While a node joins and leaves\n\n" + table(
        ["phase (medians of the cycles)", "seconds", "operations, all", "failed, all", "p50 ms", "p99 ms", "p99.9 ms",
         "max ms"], rows) + "\n"


def planner(plans):
    rows = [
        [each["change"], f"{each['seconds']:.2f}", f"{each['copies']:,}", f"{each['lower-bound']:,}",
         f"{each['primary-changes']:,}", "yes" if each["empty-plan-afterwards"] else "NO"] for each in plans]
    return "## The planner at paper scale\n\n1,000 nodes, 16,384 shards of 3 replicas, 10 zones.\n\n" + table(
        ["change", "seconds", "copies", "lower bound", "primaries changed", "plan of the result is empty"], rows)


def server_cells(reports):
    """What the server used; empty where there was none."""
    names = [
        "server-cpu-microseconds-per-operation", "server-written-bytes-per-operation", "server-resident-bytes"]
    if names[0] not in reports[0]:
        return [""] * len(names)
    cpu, written, resident = (statistics.median(each[name] for each in reports) for name in names)
    return [f"{cpu:.1f}", f"{written:,.0f}", f"{resident / 2**20:,.0f}"]


def milliseconds(microseconds):
    return f"{microseconds / 1000:.2f}"


def doubts(found):
    return "".join(f"- {each}\n" for each in found) if found else "None.\n"
