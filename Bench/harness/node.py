"""What one node costs beside its throughput: idle memory, bytes written for bytes accepted, disk, start-up time."""

import os
import time

from . import systems

# A key of the generator: kind, slash, a number.
KEY_BYTES = 12
SETTLE_SECONDS = 3
# A node that writes no more than this for so long has done what it does by itself.
QUIET_SECONDS = 1.5
QUIET_BYTES = 1 << 20
SETTLE_SECONDS_MAX = 30


def idle_resident(root, products, name="idle", options=()):
    """Resident bytes of a new node that nobody has asked for anything."""
    with systems.keystead(root, products, name, options=options).server as server:
        time.sleep(SETTLE_SECONDS)
        return server.usage()["resident"]


def write_amplification(root, products, load, name="amplification", options=()):
    """Loads `load.records` unique keys into a new node, stops it in order, and starts it again.

    Bytes written are all that the process gave to the disk since it had its first spare segments, until it had ended:
    log, further segments, flushes and compactions; divided by the bytes of keys and states.
    """
    system = systems.keystead(root, products, name, options=options)
    accepted = load.records * (load.value_bytes + KEY_BYTES)
    with system.server:
        empty = settled_bytes(system)
        began = time.monotonic()
        load.load_records(system)
        loading = time.monotonic() - began
        resident = system.usage()["resident"]
    # The stop flushes: all that was accepted lies in tables then.
    written = system.server.written_bytes - empty
    disk = directory_bytes(os.path.join(root, name, "data", "shards"))
    began = time.monotonic()
    with system.server:
        start_up = time.monotonic() - began
    return {
        "records": load.records, "accepted-bytes": accepted, "written-bytes": written,
        "write-amplification": written / accepted, "records-per-second": load.records / loading,
        "resident-bytes": resident, "disk-bytes-per-byte": disk / accepted, "start-up-seconds": start_up,
    }


def settled_bytes(system):
    """What a new node has written once it has its spare segments, which it fills ahead of need."""
    written, since = system.usage()["written"], time.monotonic()
    deadline = since + SETTLE_SECONDS_MAX
    while time.monotonic() < min(deadline, since + QUIET_SECONDS):
        time.sleep(0.1)
        now = system.usage()["written"]
        if now - written > QUIET_BYTES:
            written, since = now, time.monotonic()
    return system.usage()["written"]


def directory_bytes(path):
    """Blocks that the files below `path` take."""
    total = 0
    for directory, _, names in os.walk(path):
        for name in names:
            total += os.lstat(os.path.join(directory, name)).st_blocks * 512
    return total
