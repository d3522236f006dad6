"""Plots as SVG, written by hand: bars of throughput, latency by percentile, throughput against offered load."""

import math
from xml.sax.saxutils import escape

COLOURS = ["#0b6e99", "#d9730d", "#0f7b6c", "#ad1a72", "#6940a5", "#e03e3e", "#64473a", "#9b9a97"]
FONT = 'font-family="sans-serif" font-size="12" fill="#333"'


def document(width, height, title, parts):
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">'
        f'<rect width="100%" height="100%" fill="#fff"/>'
        f'<text x="16" y="24" {FONT} font-weight="bold">{escape(title)}</text>'
    )
    return head + "".join(parts) + "</svg>\n"


def text(x, y, words, anchor="start"):
    return f'<text x="{x:.1f}" y="{y:.1f}" {FONT} text-anchor="{anchor}">{escape(words)}</text>'


def line(x1, y1, x2, y2, colour="#ddd"):
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}"/>'


def bars(title, rows, unit):
    """`rows`: (name, median, low, high). One bar each, the middle half of the rounds drawn over it."""
    width, left, right = 760, 190, 150
    most = max([row[3] for row in rows] + [1e-9])
    scale = (width - left - right) / most
    parts = []
    for number, (name, median, low, high) in enumerate(rows):
        y = 44 + number * 26
        colour = COLOURS[0] if name.startswith("keystead") else "#9fb8c4"
        parts.append(text(left - 8, y + 13, name, "end"))
        parts.append(f'<rect x="{left}" y="{y}" width="{median * scale:.1f}" height="18" fill="{colour}"/>')
        parts.append(line(left + low * scale, y + 9, left + high * scale, y + 9, "#222"))
        parts.append(text(left + max(median, high) * scale + 8, y + 13, f"{median:,.0f} {unit}"))
    return document(width, 44 + len(rows) * 26 + 16, title, parts)


def curves(title, series):
    """`series`: {name: [(percentile, microseconds)]}. Both axes are logarithmic: nines to the right, time upward."""
    width, height, left, right, top, bottom = 760, 420, 70, 170, 44, 50
    points = [time for curve in series.values() for _, time in curve if time > 0]
    low, high = math.floor(math.log10(min(points))), math.ceil(math.log10(max(points)))
    high = max(high, low + 1)
    nines = lambda percentile: -math.log10(1 - min(percentile, 99.999) / 100)
    place_x = lambda percentile: left + nines(percentile) / 5 * (width - left - right)
    share = lambda time: (math.log10(max(time, 10**low)) - low) / (high - low)
    place_y = lambda time: height - bottom - share(time) * (height - top - bottom)
    parts = []
    for power in range(low, high + 1):
        y = place_y(10**power)
        parts += [line(left, y, width - right, y), text(left - 8, y + 4, duration(10**power), "end")]
    for percentile in (0, 90, 99, 99.9, 99.99, 99.999):
        x = place_x(percentile)
        parts += [line(x, top, x, height - bottom), text(x, height - bottom + 18, f"{percentile:g} %", "middle")]
    parts.append(text((left + width - right) / 2, height - 10, "percentile", "middle"))
    for number, (name, curve) in enumerate(series.items()):
        drawn = [(place_x(percentile), place_y(time)) for percentile, time in curve if percentile < 100 and time > 0]
        parts += path(number, name, drawn, width - right, top)
    return document(width, height, title, parts)


def offered(title, series):
    """`series`: {name: [(offered a second, done a second)]}, over a diagonal of what was asked for."""
    width, height, left, right, top, bottom = 760, 420, 70, 170, 44, 50
    most = max(max(x, y) for curve in series.values() for x, y in curve)
    step = 10 ** math.floor(math.log10(most))
    step = step if most / step >= 3 else step / 2 if most / step >= 1.5 else step / 5
    place_x = lambda value: left + value / most * (width - left - right)
    place_y = lambda value: height - bottom - value / most * (height - top - bottom)
    parts = [line(place_x(0), place_y(0), place_x(most), place_y(most), "#bbb")]
    for number in range(int(most / step) + 1):
        value = number * step
        parts += [line(left, place_y(value), width - right, place_y(value)),
                  text(left - 8, place_y(value) + 4, f"{value:,.0f}", "end"),
                  text(place_x(value), height - bottom + 18, f"{value:,.0f}", "middle")]
    parts.append(text((left + width - right) / 2, height - 10, "offered operations a second", "middle"))
    for number, (name, curve) in enumerate(series.items()):
        parts += path(number, name, [(place_x(x), place_y(y)) for x, y in sorted(curve)], width - right, top)
    return document(width, height, title, parts)


def growth(title, axis, series):
    """`series`: {name: [(size, a second)]}. Sizes stand on a logarithmic axis, the rest begins at 0."""
    width, height, left, right, top, bottom = 760, 420, 70, 170, 44, 50
    sizes = sorted({x for curve in series.values() for x, _ in curve})
    most = max(y for curve in series.values() for _, y in curve) * 1.1 or 1
    low, high = math.log10(sizes[0]), math.log10(sizes[-1])
    place_x = lambda size: left + (math.log10(size) - low) / (high - low) * (width - left - right)
    place_y = lambda value: height - bottom - value / most * (height - top - bottom)
    parts = []
    for step in range(6):
        value = most * step / 5
        parts += [line(left, place_y(value), width - right, place_y(value)),
                  text(left - 8, place_y(value) + 4, f"{value:,.0f}", "end")]
    for size in sizes:
        parts += [line(place_x(size), top, place_x(size), height - bottom),
                  text(place_x(size), height - bottom + 18, f"{size:,}", "middle")]
    parts.append(text((left + width - right) / 2, height - 10, axis, "middle"))
    for number, (name, curve) in enumerate(series.items()):
        parts += path(number, name, [(place_x(x), place_y(y)) for x, y in curve], width - right, top)
    return document(width, height, title, parts)


def path(number, name, points, legend_x, legend_y):
    colour = COLOURS[number % len(COLOURS)]
    drawn = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    y = legend_y + 16 + number * 20
    return [
        f'<polyline points="{drawn}" fill="none" stroke="{colour}" stroke-width="2"/>',
        f'<rect x="{legend_x + 12}" y="{y - 7}" width="20" height="4" fill="{colour}"/>', text(legend_x + 38, y, name),
    ]


def duration(microseconds):
    for limit, unit in ((1e3, "µs"), (1e6, "ms")):
        if microseconds < limit:
            return f"{microseconds * 1e3 / limit:g} {unit}"
    return f"{microseconds / 1e6:g} s"
