"""Where results go: one JSON with everything, one Markdown for people, plots beside them."""

import json
import os

from . import machine as machines
from . import tables


def write(directory, name, title, machine, settings, results, found, doubts, plots=(), more=""):
    """Writes `name`.json, `name`.md and the plots, and answers the Markdown."""
    os.makedirs(directory, exist_ok=True)
    with open(os.path.join(directory, f"{name}.json"), "w") as file:
        json.dump(
            {"machine": machine, "settings": settings, "comparisons": found, "doubts": doubts, "measurements": results},
            file, indent=1)
        file.write("\n")
    for plot, content in plots:
        with open(os.path.join(directory, plot), "w") as file:
            file.write(content)
    text = markdown(title, machine, settings, results, found, doubts, plots, more)
    with open(os.path.join(directory, f"{name}.md"), "w") as file:
        file.write(text)
    return text


def markdown(title, machine, settings, results, found, doubts, plots, more):
    parts = [
        f"# {title}\n", machines.line(machine) + "\n",
        "Ratios are medians over the rounds of ratios within a round. A verdict is given only where the middle half of "
        "the rounds is narrower than the distance to the target; else it is `undecided`.\n",
        tables.comparisons(found), "## Measurements\n", tables.measurements(results), more, "## Doubts\n",
        tables.doubts(doubts), "## Settings\n", "".join(f"- {name}: {each}\n" for name, each in settings.items()),
    ]
    return "\n".join(parts + [f"![{plot}]({plot})\n" for plot, _ in plots])
