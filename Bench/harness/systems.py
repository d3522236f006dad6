"""The systems that are compared, each with the settings that make its writes as durable as Keystead's: on stable
storage before they are answered. Every setting that is not a default is written here and nowhere else."""

import base64
import os
import pwd
import random
import shutil
import signal
import subprocess

from .processes import Server, accepts, answers, free_ports

VALUE_BYTES = 1024
# The server's variable that leaves the log's fdatasync out.
UNSYNCED = "KEYSTEAD_UNSAFE_NO_SYNC"


class System:
    """A running server and how to ask it: `dialect` and `options` are those of the load generator."""

    def __init__(self, server, dialect, options=(), settings="", behind=None):
        self.server = server
        self.behind = behind
        self.name = server.name
        self.dialect = dialect
        self.options = list(options)
        self.settings = settings
        # Where a node is administered.
        self.admin = None

    def usage(self):
        """What the server uses, together with the one that it needs behind it."""
        own = self.server.usage()
        return own if self.behind is None else {name: own[name] + self.behind.usage()[name] for name in own}


def directory(root, name):
    path = os.path.join(root, name)
    os.makedirs(path, exist_ok=True)
    return path


def keystead(root, products, name="keystead", environment=None, options=()):
    data = directory(root, name)
    listen, admin, peer = free_ports(3)
    command = [
        os.path.join(products, "keystead"), "serve", "--data-dir", os.path.join(data, "data"),
        "--listen", f"127.0.0.1:{listen}", "--admin-listen", f"127.0.0.1:{admin}",
        "--peer-listen", f"127.0.0.1:{peer}", *options,
    ]
    server = Server(
        name, command, listen, ready=lambda: answers(f"http://127.0.0.1:{admin}/readyz"), environment=environment,
        log=os.path.join(data, "log"))
    system = System(server, "keystead", settings="defaults (64 shards, fdatasync of each group before its answers)")
    system.admin = f"http://127.0.0.1:{admin}"
    return system


def keystead_without_sync(root, products):
    """The same server with the log's fdatasync left out: what the disk costs is the difference. A build that does not
    know the variable refuses to start."""
    system = keystead(root, products, "keystead-no-sync", {UNSYNCED: "1"})
    system.settings = f"{UNSYNCED}=1: nothing is durable"
    return system


def bare_http(root, products):
    (port,) = free_ports(1)
    command = [os.path.join(products, "bare-http"), "--port", str(port), "--bytes", str(VALUE_BYTES)]
    server = Server("bare NIOHTTP1", command, port, log=os.path.join(root, "bare-http.log"))
    return System(server, "fixed", ["--path", "/", "--skip-load"], "fixed 1 KiB from memory; nothing is stored")


def nginx(root):
    home = directory(root, "nginx")
    (port,) = free_ports(1)
    body = "x" * VALUE_BYTES
    text = f"""
daemon off; worker_processes auto; pid {home}/pid; error_log {home}/error.log;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 1000000000; client_body_temp_path {home}/body;
  proxy_temp_path {home}/proxy; fastcgi_temp_path {home}/fastcgi; uwsgi_temp_path {home}/uwsgi;
  scgi_temp_path {home}/scgi;
  server {{ listen 127.0.0.1:{port}; location = / {{ default_type application/octet-stream; return 200 "{body}"; }} }}
}}
"""
    path = os.path.join(home, "nginx.conf")
    with open(path, "w") as file:
        file.write(text)
    server = Server("nginx", [program("nginx"), "-c", path, "-e", f"{home}/error.log"], port, log=f"{home}/log")
    settings = "fixed 1 KiB from its configuration, one worker a core"
    return System(server, "fixed", ["--path", "/", "--skip-load"], settings)


def redis(root):
    home = directory(root, "redis")
    (port,) = free_ports(1)
    command = [
        program("redis-server"), "--port", str(port), "--bind", "127.0.0.1", "--dir", home, "--save", "",
        "--appendonly", "yes", "--appendfsync", "always", "--auto-aof-rewrite-percentage", "0", "--daemonize", "no",
    ]
    settings = "appendonly yes, appendfsync always, no snapshots, no AOF rewrites"
    return System(Server("redis", command, port, log=f"{home}/log"), "redis", settings=settings)


def webdis(root, behind):
    home = directory(root, "webdis")
    (port,) = free_ports(1)
    path = os.path.join(home, "webdis.json")
    with open(path, "w") as file:
        file.write(
            f'{{"redis_host":"127.0.0.1","redis_port":{behind.server.port},"http_host":"127.0.0.1","http_port":{port},'
            f'"threads":{os.cpu_count()},"pool_size":20,"daemonize":false,"websockets":false,"database":0,'
            f'"acl":[{{"disabled":[]}}],"verbosity":1,"logfile":"{home}/webdis.log"}}')
    server = Server("webdis", [program("webdis"), path], port, log=f"{home}/log")
    settings = "20 connections a thread to that Redis, one thread a core; usage is of both"
    return System(server, "webdis", ["--kind", "webdis"], settings, behind)


def etcd(root):
    home = directory(root, "etcd")
    client, peer = free_ports(2)
    command = [
        program("etcd"), "--data-dir", f"{home}/data", "--listen-client-urls", f"http://127.0.0.1:{client}",
        "--advertise-client-urls", f"http://127.0.0.1:{client}", "--listen-peer-urls", f"http://127.0.0.1:{peer}",
        "--initial-advertise-peer-urls", f"http://127.0.0.1:{peer}", "--initial-cluster",
        f"default=http://127.0.0.1:{peer}", "--quota-backend-bytes", str(8 << 30), "--log-level", "error",
    ]
    server = Server(
        "etcd", command, client, ready=lambda: answers(f"http://127.0.0.1:{client}/health"), log=f"{home}/log")
    return System(server, "etcd", settings="one member, defaults; asked through its JSON gateway")


class Postgres(System):
    """Asked by pgbench, whose one thread drives all clients; scripts are prepared statements."""

    upsert = (
        "INSERT INTO entity (key, value) VALUES ('k' || :id::text, decode(:payload, 'base64')) "
        "ON CONFLICT (key) DO UPDATE SET value = excluded.value;")
    select = "SELECT value FROM entity WHERE key = 'k' || :id::text;"
    count = "UPDATE counter SET count = count + 1 WHERE key = 'hot';"

    def __init__(self, root):
        self.home = directory(root, "postgresql")
        self.binaries = postgres_binaries()
        self.user = pwd.getpwnam("postgres") if os.geteuid() == 0 else None
        (port,) = free_ports(1)
        data = os.path.join(self.home, "data")
        if self.user:
            os.chown(self.home, self.user.pw_uid, self.user.pw_gid)
        self.command([f"{self.binaries}/initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8"])
        settings = {
            "listen_addresses": "127.0.0.1", "port": port, "unix_socket_directories": self.home, "fsync": "on",
            "synchronous_commit": "on", "full_page_writes": "on", "wal_sync_method": "fdatasync",
            "shared_buffers": "1GB", "max_wal_size": "8GB", "max_connections": 600,
        }
        command = self.as_user([f"{self.binaries}/postgres", "-D", data])
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        server = Server(
            "postgresql", command, port, ready=lambda: self.answers("SELECT 1"),
            log=os.path.join(root, "postgresql.log"), stop_signal=signal.SIGINT)
        private = ("port", "unix_socket_directories")
        described = ", ".join(f"{name} {value}" for name, value in settings.items() if name not in private)
        super().__init__(server, "pgbench", settings=described + "; asked by pgbench with prepared statements")

    def as_user(self, command):
        """PostgreSQL refuses to run as root: then it runs as the user of its package."""
        if not self.user:
            return command
        return ["setpriv", f"--reuid={self.user.pw_uid}", f"--regid={self.user.pw_gid}", "--clear-groups", *command]

    def command(self, command):
        subprocess.run(self.as_user(command), check=True, stdout=subprocess.DEVNULL, cwd=self.home)

    def psql(self, statement):
        address = ["-h", "127.0.0.1", "-p", str(self.server.port), "-U", "postgres"]
        return subprocess.run([f"{self.binaries}/psql", *address, "-qtAc", statement], capture_output=True, text=True)

    def answers(self, statement):
        return accepts(self.server.port) and self.psql(statement).returncode == 0

    def load(self, records):
        """The table, `records` rows in it, and the one counter."""
        value = f"decode('{self.payload()}', 'base64')"
        done = self.psql(
            "CREATE TABLE entity (key text PRIMARY KEY, value bytea NOT NULL);"
            "CREATE TABLE counter (key text PRIMARY KEY, count bigint NOT NULL);"
            "INSERT INTO counter VALUES ('hot', 0);"
            f"INSERT INTO entity SELECT 'k' || n, {value} FROM generate_series(0, {records - 1}) n;"
            "ANALYZE;")
        if done.returncode != 0:
            raise SystemExit(f"postgresql refused the records: {done.stderr}")

    @staticmethod
    def payload():
        return base64.b64encode(random.Random(1).randbytes(VALUE_BYTES)).decode()


def program(name):
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin:/usr/local/bin")
    if not found:
        raise FileNotFoundError(name)
    return found


def postgres_binaries():
    """The newest that Debian has installed; its programs are not on the path."""
    base = "/usr/lib/postgresql"
    versions = sorted(os.listdir(base), key=float) if os.path.isdir(base) else []
    if not versions:
        raise FileNotFoundError("postgresql")
    return f"{base}/{versions[-1]}/bin"
