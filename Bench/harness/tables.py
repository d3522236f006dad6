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
        reports = [each for each in reports if "latency" in each]
        if not reports:
            continue
        middle = lambda value: statistics.median(value(each) for each in reports)
        rows.append([
            name, f"{middle(throughput):,.0f}", milliseconds(middle(lambda each: each["latency"][0]["p50"])),
            milliseconds(middle(p99)), milliseconds(middle(lambda each: each["latency"][0]["p99.9"])),
            f"{middle(lambda each: each['server-cpu-microseconds-per-operation']):.1f}",
            f"{middle(lambda each: each['server-written-bytes-per-operation']):,.0f}",
            f"{middle(lambda each: each['server-resident-bytes']) / 2**20:,.0f}",
            f"{100 * middle(lambda each: each.get('generator-busiest-loop-share', 0)):.0f} %",
        ])
    return table(
        ["measurement (medians of the rounds)", "operations/s", "p50 ms", "p99 ms", "p99.9 ms", "server CPU µs/op",
         "written B/op", "resident MiB", "generator"], rows)


def milliseconds(microseconds):
    return f"{microseconds / 1000:.2f}"


def doubts(found):
    return "".join(f"- {each}\n" for each in found) if found else "None.\n"
