"""Flame graphs: stacks that perf sampled, folded and drawn as SVG."""

import subprocess
from xml.sax.saxutils import escape

ROW = 17
WIDTH = 1400
# Narrower frames are left out: nobody could read them.
SHARE_MIN = 0.001


def stacks(data):
    """{(outermost, …, innermost): samples} of a perf data file, with names that can be read."""
    text = subprocess.run(
        ["perf", "script", "-i", data, "--no-inline", "-F", "comm,ip,sym"], capture_output=True, text=True).stdout
    text = readable(text)
    found = {}
    for block in text.split("\n\n"):
        lines = block.strip("\n").split("\n")
        if len(lines) < 2:
            continue
        frames = [line.strip().split(" ", 1)[-1].strip() for line in lines[1:]]
        key = (lines[0].strip(), *reversed(frames))
        found[key] = found.get(key, 0) + 1
    return found


def readable(text):
    """Swift's names as they are written; unchanged without a Swift toolchain."""
    try:
        return subprocess.run(
            ["swift", "demangle", "--simplified"], input=text, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return text


def tree(found):
    root = {"samples": 0, "children": {}}
    for frames, samples in found.items():
        node = root
        node["samples"] += samples
        for frame in frames:
            node = node["children"].setdefault(frame, {"samples": 0, "children": {}})
            node["samples"] += samples
    return root


def depth(node, total):
    wide = [each for each in node["children"].values() if each["samples"] >= SHARE_MIN * total]
    return 1 + max((depth(each, total) for each in wide), default=0)


def draw(title, found):
    """The SVG. The width of a frame is its share of the samples; names stand in the tooltips as a whole."""
    root = tree(found)
    total = max(1, root["samples"])
    height = (depth(root, total) + 2) * ROW
    parts = []
    place(root, 0, 0, total, height, parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="monospace" '
        f'font-size="11"><rect width="100%" height="100%" fill="#fff"/><text x="8" y="14">{escape(title)}, '
        f'{total:,} samples</text>{"".join(parts)}</svg>\n')


def place(node, left, level, total, height, parts):
    at = left
    for name, child in sorted(node["children"].items()):
        width = child["samples"] / total * WIDTH
        if child["samples"] >= SHARE_MIN * total:
            y = height - (level + 1) * ROW
            colour = f"hsl({20 + sum(name.encode()) % 35},80%,{68 + sum(name.encode()) % 12}%)"
            letters = int(width / 7)
            shown = escape(name if len(name) <= letters else name[:max(0, letters - 1)] + "…") if letters > 2 else ""
            parts.append(
                f'<g><title>{escape(name)}: {child["samples"]} samples, {100 * child["samples"] / total:.1f} %</title>'
                f'<rect x="{at:.1f}" y="{y}" width="{max(0.4, width - 0.4):.1f}" height="{ROW - 1}" fill="{colour}"/>'
                f'<text x="{at + 3:.1f}" y="{y + 12}">{shown}</text></g>')
            place(child, at, level + 1, total, height, parts)
        at += width
