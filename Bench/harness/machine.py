"""The machine, the build and the disk, so that no number stands without them."""

import os
import platform
import shutil
import subprocess
from datetime import datetime, timezone

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def output(*command):
    """What a command prints, or an empty string if it cannot be run."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=REPOSITORY)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def processor():
    with open("/proc/cpuinfo") as lines:
        for line in lines:
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.machine()


def commit():
    name = output("git", "rev-parse", "--short=12", "HEAD") or "unknown"
    return name + (" with changes" if output("git", "status", "--porcelain", "--untracked-files=no") else "")


def memory_gib():
    return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)


def facts(directory):
    """Everything that a reader needs to judge the numbers by; `directory` is where the servers keep their data."""
    return {
        "date": datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": commit(),
        "processor": processor(),
        "cores": os.cpu_count(),
        "memory-gib": memory_gib(),
        "kernel": platform.release(),
        "file-system": output("stat", "-f", "-c", "%T", directory),
        "swift": output("swift", "--version").splitlines()[0] if shutil.which("swift") else "",
        "load-before": round(os.getloadavg()[0], 2),
    }


def line(machine):
    """The facts in one line of Markdown."""
    return (
        f"{machine['cores']} × {machine['processor']}, {machine['memory-gib']} GiB, Linux {machine['kernel']}, "
        f"{machine['file-system']}; {machine['swift']}; commit {machine['commit']}; {machine['date']}; "
        f"load average before the run {machine['load-before']}"
    )


def build(products):
    """Builds release products of the package and answers the directory they are in."""
    for product in products:
        subprocess.run(
            ["swift", "build", "-c", "release", "--product", product], cwd=REPOSITORY, check=True, stdout=2)
    path = output("swift", "build", "-c", "release", "--show-bin-path")
    if not path:
        raise SystemExit("swift build did not say where its products are")
    return path
