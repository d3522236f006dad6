"""Rounds that alternate what is compared (A B A B …), and what may be concluded from them."""

import statistics
import sys
import time


# With fewer, the spread says nothing.
ROUNDS_MIN = 5


def alternate(count, measurements):
    """Runs `measurements`, a list of (name, function of the results of this round so far), `count` times in turn.

    Answers {name: [report of round 1, report of round 2, …]}. Every round begins with another measurement, so that
    none always follows the same neighbour; those that depend on another's result stand behind it in the list and are
    run after the rest.
    """
    results = {name: [] for name, _, _ in measurements}
    first = [each for each in measurements if not each[2]]
    last = [each for each in measurements if each[2]]
    for number in range(count):
        turn = number % max(1, len(first))
        current = {}
        for name, function, _ in first[turn:] + first[:turn] + last:
            began = time.monotonic()
            current[name] = function(current)
            results[name].append(current[name])
            say(f"round {number + 1}/{count}  {name:32}  {brief(current[name])}  ({time.monotonic() - began:.0f} s)")
    return results


def brief(report):
    if "operations-per-second" not in report:
        return ""
    latency = report["latency"][0]
    marks = [] if report["sound"] else ["NOT SOUND"]
    if report["generator-bound"]:
        marks.append("generator-bound")
    if report["errors"]:
        marks.append(f"{report['errors']} errors")
    return f"{report['operations-per-second']:9,.0f}/s  p99 {latency['p99'] / 1000:8.2f} ms  {' '.join(marks)}"


def say(text):
    print(text, file=sys.stderr, flush=True)


def quartiles(values):
    """The middle half of the values, and its width: the spread."""
    if len(values) < 2:
        return values[0], values[0]
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, high


def compare(name, values, target, at_least=True, note=""):
    """What a list of ratios, one a round, says about `target`.

    The verdict is `holds` or `misses` only if the middle half of the rounds is narrower than the distance from the
    median to the target, and there are enough of them; else it is `undecided`: more rounds or a quieter machine are
    needed.
    """
    median = statistics.median(values)
    low, high = quartiles(values)
    if target is None:
        verdict = "-"
    elif len(values) < ROUNDS_MIN or high - low > abs(median - target):
        verdict = "undecided"
    else:
        verdict = "holds" if (median >= target) == at_least else "misses"
    return {
        "name": name, "median": median, "low": low, "high": high, "rounds": values, "target": target,
        "at-least": at_least, "verdict": verdict, "note": note,
    }


def compare_exact(name, value, target, at_least=True, note=""):
    """What one value that does not vary with the machine's load says about `target`."""
    holds = value >= target if at_least else value <= target
    return {
        "name": name, "median": value, "low": value, "high": value, "rounds": [value], "target": target,
        "at-least": at_least, "verdict": "holds" if holds else "misses", "note": note,
    }


def throughput(report):
    return report["operations-per-second"]


def p99(report):
    return report["latency"][0]["p99"]


def ratios(results, above, below, value=throughput):
    """The ratio of two measurements, round by round."""
    return [value(one) / max(1e-9, value(other)) for one, other in zip(results[above], results[below])]


def doubts(results):
    """Everything that makes a measurement no result."""
    found = []
    for name, reports in results.items():
        for number, report in enumerate(reports):
            if not report.get("sound", True):
                found.append(f"{name}, round {number + 1}: answers were wrong")
            if report.get("generator-bound"):
                found.append(f"{name}, round {number + 1}: generator-bound; the server may be faster")
            if report.get("errors", 0) > 0.001 * report.get("operations", 0):
                kinds = ", ".join(f"{each['count']} × {each['kind']}" for each in report["errors-by-kind"][:4])
                found.append(f"{name}, round {number + 1}: {report['errors']} errors ({kinds})")
    return found
