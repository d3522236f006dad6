"""Installs the compared systems from Debian, without letting the packages start their services."""

import contextlib
import os
import shutil
import subprocess

from . import systems

PACKAGES = {
    "redis": "redis-server", "webdis": "webdis", "postgresql": "postgresql", "etcd": "etcd-server",
    "nginx": "nginx-light",
}
PROGRAMS = {"redis": "redis-server", "webdis": "webdis", "etcd": "etcd", "nginx": "nginx"}
POLICY = "/usr/sbin/policy-rc.d"


def is_there(name):
    try:
        systems.postgres_binaries() if name == "postgresql" else systems.program(PROGRAMS[name])
        return True
    except FileNotFoundError:
        return False


def install(names):
    """Installs what of `names` is a package and is not there. Needs root; without it, nothing happens."""
    install_packages([PACKAGES[name] for name in names if name in PACKAGES and not is_there(name)])


def install_tools(names):
    """Installs programs whose package has their name; ends the program where one is not there after that."""
    install_packages([name for name in names if not shutil.which(name)])
    for name in names:
        if not shutil.which(name):
            raise SystemExit(f"{name} is not installed; as root this command installs it")


def install_packages(absent):
    if not absent or os.geteuid() != 0:
        return
    with services_held():
        subprocess.run(["apt-get", "update", "-qq"], check=True, stdout=2)
        subprocess.run(
            ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *absent], check=True, stdout=2,
            env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"})


@contextlib.contextmanager
def services_held():
    """While this holds, packages do not start the services they bring (invoke-rc.d asks the policy)."""
    if os.path.exists(POLICY):
        yield
        return
    with open(POLICY, "w") as file:
        file.write("#!/bin/sh\nexit 101\n")
    os.chmod(POLICY, 0o755)
    try:
        yield
    finally:
        os.remove(POLICY)
