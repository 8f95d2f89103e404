"""What deploy/ installs: packages that hold and start what they should, units that systemd accepts, a container file that builds."""

import json
import os
import pathlib
import re
import shlex
import socket
import subprocess
import tempfile
import unittest

import cluster
from cluster import RUNFILES, Cluster, wait_for

DEPLOY = RUNFILES / "deploy"
VERSION = re.search(r'kVersion\[\] = "(.*)"', (RUNFILES / "base/version.h").read_text()).group(1)
PACKAGES = {"reeve": "client/reeve", "reeve-master": "master/reeve-master", "reeve-worker": "worker/reeve-worker"}


def run(*argv, **kwargs):
    done = subprocess.run([str(a) for a in argv], capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=300, **kwargs)
    if done.returncode != 0:
        raise AssertionError(f"{argv}: {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


class Listener:
    """Stands where systemd would listen."""

    def __init__(self):
        self.name = f"@reeve-deploy-test-{os.getpid()}-{id(self)}"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + self.name[1:])
        self.socket.setblocking(False)
        self.lines = []

    def told(self, line):
        try:
            while True:
                self.lines += self.socket.recv(4096).decode().split("\n")
        except BlockingIOError:
            return line in self.lines


class NotifyTest(unittest.TestCase):
    def daemon_tells(self, cluster_, name, start):
        listener = Listener()
        cluster_.env["NOTIFY_SOCKET"], cluster_.env["WATCHDOG_USEC"] = listener.name, "400000"
        process = start()
        wait_for(lambda: listener.told("READY=1"), f"READY=1 of the {name}\n" + cluster_.log(name))
        self.assertNotIn("STOPPING=1", listener.lines)
        return process, listener

    def test_the_master_says_when_it_serves_lives_and_stops(self):
        with Cluster(workers=0, start=False) as c:
            process, listener = self.daemon_tells(c, "master", c.start_master)
            self.assertEqual(c.reeve("cluster", "info").returncode, 0)
            wait_for(lambda: listener.told("WATCHDOG=1"), "a sign of life")
            process.terminate()
            wait_for(lambda: listener.told("STOPPING=1"), "STOPPING=1")
            self.assertEqual(process.wait(20), 0)

    def test_a_worker_is_ready_when_a_master_took_it_in_and_not_before(self):
        with Cluster(workers=0) as c:
            c.processes["master"].terminate()
            c.processes["master"].wait(20)
            listener = Listener()
            c.env["NOTIFY_SOCKET"] = listener.name
            worker = c.start_worker("worker-1")
            # It runs, and has no master.
            wait_for(lambda: (c.folder / "worker-1" / "worker_id").exists(), "the worker")
            self.assertFalse(listener.told("READY=1"))
            c.env.pop("NOTIFY_SOCKET")
            c.start_master()
            wait_for(lambda: listener.told("READY=1"), "READY=1 of the worker\n" + c.log("worker-1"))
            # Commands have no say in the state of the service.
            seen = c.reeve("run", "--", "/bin/sh", "-c", "echo [$NOTIFY_SOCKET]")
            self.assertEqual(seen.stdout.strip(), "[]", seen.stderr)
            worker.terminate()
            wait_for(lambda: listener.told("STOPPING=1"), "STOPPING=1")
            self.assertEqual(worker.wait(30), 0)


class UnitsTest(unittest.TestCase):
    def test_systemd_accepts_the_units(self):
        for name in ("reeve-master", "reeve-worker"):
            with tempfile.TemporaryDirectory() as root:
                # systemd looks for the program that a unit names, and for the units that it wants.
                text = (DEPLOY / f"systemd/{name}.service").read_text().replace(f"/usr/bin/{name}", str(RUNFILES / PACKAGES[name]))
                unit = pathlib.Path(root) / f"{name}.service"
                unit.write_text(re.sub(r"(?m)^Documentation=.*\n", "", text))
                done = subprocess.run(["systemd-analyze", "verify", "--man=no", str(unit)], capture_output=True, text=True)
                about = [line for line in done.stderr.splitlines() if name in line]
                self.assertEqual(about, [], done.stderr)

    def test_systemd_would_not_accept_a_misspelt_unit(self):
        with tempfile.TemporaryDirectory() as root:
            unit = pathlib.Path(root) / "odd.service"
            unit.write_text("[Service]\nExecStart=/bin/true\nProtectSytem=strict\n")
            done = subprocess.run(["systemd-analyze", "verify", "--man=no", str(unit)], capture_output=True, text=True)
            self.assertIn("odd.service", done.stderr)

    def test_the_units_are_hardened(self):
        for name in ("reeve-master", "reeve-worker"):
            run("systemd-analyze", "security", "--offline=true", "--threshold=30", DEPLOY / f"systemd/{name}.service")

    def test_the_threshold_would_notice_a_unit_that_is_not(self):
        with tempfile.TemporaryDirectory() as root:
            unit = pathlib.Path(root) / "bare.service"
            unit.write_text("[Service]\nExecStart=/bin/true\n")
            done = subprocess.run(["systemd-analyze", "security", "--offline=true", "--threshold=30", str(unit)], capture_output=True)
            self.assertNotEqual(done.returncode, 0)


class PackagesTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(dir=os.environ.get("TEST_TMPDIR"))
        cls.out = pathlib.Path(cls.folder.name) / "out"
        run(DEPLOY / "build-packages.sh", cls.out, RUNFILES)
        cls.files = {name: next(cls.out.glob(f"{name}_{VERSION}_*.deb")) for name in PACKAGES}
        cls.root = pathlib.Path(cls.folder.name) / "root"
        for file in cls.files.values():
            run("dpkg-deb", "-x", file, cls.root)

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def test_they_hold_what_they_should(self):
        for name, file in self.files.items():
            paths = {line.split()[5] for line in run("dpkg-deb", "-c", file).splitlines()}
            self.assertIn(f"./usr/bin/{name}", paths)
            self.assertIn(f"./usr/share/doc/{name}/deploy.md", paths)
            owners = {line.split()[1] for line in run("dpkg-deb", "-c", file).splitlines()}
            self.assertEqual(owners, {"root/root"})
            if name != "reeve":
                self.assertIn(f"./usr/lib/systemd/system/{name}.service", paths)
                self.assertEqual(run("dpkg-deb", "-I", file, "conffiles"), f"/etc/default/{name}\n")
        self.assertTrue((self.root / "usr/bin/reeve-collector").exists())
        for completion in ("bash-completion/completions/reeve", "zsh/vendor-completions/_reeve", "fish/vendor_completions.d/reeve.fish"):
            self.assertIn("reeve", (self.root / "usr/share" / completion).read_text())

    def test_their_control_files_name_version_and_libraries(self):
        for name, file in self.files.items():
            self.assertEqual(run("dpkg-deb", "-f", file, "Version").strip(), VERSION)
            depends = run("dpkg-deb", "-f", file, "Depends")
            for library in ("libc6 (>= ", "libprotobuf32 (>= "):
                self.assertIn(library, depends)
            self.assertEqual("adduser" in depends, name != "reeve")

    def test_their_scripts_are_scripts(self):
        for name in ("reeve-master", "reeve-worker"):
            for script in ("postinst", "prerm", "postrm"):
                text = run("dpkg-deb", "-I", self.files[name], script)
                self.assertNotIn("@", text)
                subprocess.run(["/bin/sh", "-n"], input=text, text=True, check=True)

    def test_the_same_programs_give_the_same_bytes(self):
        again = pathlib.Path(self.folder.name) / "again"
        run(DEPLOY / "build-packages.sh", again, RUNFILES)
        for file in self.files.values():
            self.assertEqual(file.read_bytes(), (again / file.name).read_bytes(), file.name)

    def test_master_worker_and_client_run_from_them(self):
        bin_ = self.root / "usr/bin"
        kept = cluster.REEVE, cluster.MASTER, cluster.WORKER
        cluster.REEVE, cluster.MASTER, cluster.WORKER = bin_ / "reeve", bin_ / "reeve-master", bin_ / "reeve-worker"
        try:
            with Cluster(workers=0, start=False) as c:
                # As docs/deploy.md has it: made once, on purpose, and served without --init.
                run(bin_ / "reeve-master", "--state-dir", c.state, "--init-only", env=c.env)
                c.spawn("master", [bin_ / "reeve-master", "--port", c.port, "--state-dir", c.state])
                wait_for(lambda: c.reeve("cluster", "info").returncode == 0, "master\n" + c.log("master"))
                c.start_worker("worker-1", program=bin_ / "reeve-worker")
                c.wait_for_workers(1)
                done = c.reeve("run", "--", "echo", "from a package")
                self.assertEqual((done.returncode, done.stdout), (0, "from a package\n"), done.stderr)
        finally:
            cluster.REEVE, cluster.MASTER, cluster.WORKER = kept

    def test_a_master_without_a_store_refuses_and_is_not_started_again(self):
        with tempfile.TemporaryDirectory() as empty:
            done = subprocess.run([str(self.root / "usr/bin/reeve-master"), "--state-dir", empty, "--port", str(cluster.free_ports())],
                                  capture_output=True, text=True, timeout=60)
            unit = (DEPLOY / "systemd/reeve-master.service").read_text()
            self.assertIn(str(done.returncode), re.search(r"RestartPreventExitStatus=(.*)", unit).group(1).split(), done.stderr)

    def test_the_container_file_builds_and_its_master_is_healthy(self):
        image = ContainerFile(DEPLOY / "container/Containerfile", {"packages/": self.out})
        with tempfile.TemporaryDirectory() as top:
            try:
                done = subprocess.run([*as_root_of_a_namespace(), "/bin/bash", "-euc", image.script(top)], capture_output=True, text=True,
                                      timeout=300, stdin=subprocess.DEVNULL,
                                      env={"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"})
            finally:
                # Where the folder's own mount is shared, the first one below it was seen here, too.
                subprocess.run(["umount", top], capture_output=True)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        said = done.stdout.splitlines()
        self.assertIn("user reeve", said)
        self.assertIn("unhealthy before the start", said)
        self.assertIn("healthy", said)
        self.assertIn("stopped with 0", said)
        ports = sorted(line.split()[1].rsplit(":", 1)[1] for line in said if line.startswith("listens "))
        self.assertEqual(ports, sorted(image.exposed))


def as_root_of_a_namespace():
    """Mounts, network and processes of its own; all of it is gone with its first process. Within a chroot `/` is no mount whose
    propagation could be changed, so that is left to who mounts."""
    mapped = [] if os.geteuid() == 0 else ["--map-root-user", "--map-auto"]
    return ["unshare", *mapped, "--mount", "--propagation", "unchanged", "--net", "--pid", "--fork", "--kill-child"]


class ContainerFile:
    """Does what a container file says, without a container engine: its base is this machine's Debian 12 below a layer of its own."""

    def __init__(self, path, context):
        self.context, self.steps, self.environment = context, [], ""
        self.user, self.folder, self.exposed, self.command, self.health = "root", "/", [], None, None
        for line in path.read_text().replace("\\\n", " ").splitlines():
            if line and not line.startswith("#"):
                getattr(self, "on_" + line.split()[0].lower())(line.split(None, 1)[1])

    def on_from(self, image):
        assert image.endswith("/debian:12-slim") and "VERSION_ID=\"12\"" in pathlib.Path("/etc/os-release").read_text(), image

    def on_copy(self, text):
        source, target = text.split()
        self.steps.append(f"mkdir -p $root{target}; cp {self.context[source]}/* $root{target}")

    def on_run(self, text):
        self.steps.append(f"chroot $root /bin/sh -c {shlex.quote(text)} >&2")

    def on_env(self, text):
        self.environment += " " + text

    def on_user(self, text):
        self.user = text

    def on_workdir(self, text):
        self.folder = text

    def on_volume(self, text):
        self.steps.append(f"test -d $root{text}")

    def on_expose(self, text):
        self.exposed += text.split()

    def on_healthcheck(self, text):
        self.health = json.loads(text.split(" CMD ", 1)[1])

    def on_cmd(self, text):
        self.command = json.loads(text)

    def inside(self, argv):
        return (f"chroot --userspec={self.user}:{self.user} $root env -i PATH=/usr/bin:/bin{self.environment} "
                f"/bin/sh -c {shlex.quote(f'cd {self.folder} && exec ' + shlex.join(argv))}")

    def script(self, top):
        """All of it below the folder `top`."""
        healthy = self.inside(self.health) + " >/dev/null 2>&1"
        return "\n".join([
            f"mount -t tmpfs none {top}; mount --make-rprivate {top}; cd {top}; mkdir upper work root; root={top}/root; ip link set lo up",
            f"mount -t overlay none -o lowerdir=/,upperdir={top}/upper,workdir={top}/work $root",
            "mount --rbind /dev $root/dev; mount -t proc none $root/proc",
            *self.steps,
            f"echo user $({self.inside(['id', '-un'])})",
            self.inside([*self.command, "--init-only"]),
            f"if {healthy}; then echo healthy too early; exit 1; fi; echo unhealthy before the start",
            f"{self.inside(self.command)} & master=$!",
            f"for try in $(seq 300); do if {healthy}; then echo healthy; break; fi; kill -0 $master; sleep 0.1; done",
            "ss -Hltn | while read -r _ _ _ local _; do echo listens $local; done",
            "kill -TERM $master; wait $master; echo stopped with $?",
        ])


class HardeningTest(unittest.TestCase):
    def test_the_programs_are_built_with_what_the_compiler_offers(self):
        for name, path in PACKAGES.items():
            elf = run("readelf", "-W", "-h", "-l", "-d", RUNFILES / path)
            symbols = run("readelf", "-W", "--dyn-syms", RUNFILES / path)
            with self.subTest(name):
                self.assertRegex(elf, r"Type:\s+DYN")
                self.assertIn("INTERP", elf)  # Position independent, and a program.
                self.assertIn("GNU_RELRO", elf)
                self.assertRegex(elf, r"BIND_NOW|Flags:.*NOW")
                self.assertRegex(elf, r"GNU_STACK\s.*\sRW\s")
                self.assertNotRegex(elf, r"\((RPATH|RUNPATH)\)")
                self.assertIn("__stack_chk_fail", symbols)
                self.assertRegex(symbols, r"__\w+_chk@GLIBC")


if __name__ == "__main__":
    unittest.main(verbosity=2)
