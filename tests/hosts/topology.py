"""Network namespaces as hosts: a router, and hosts behind it with a subnet each.

                      ┌── master   10.81.1.2  fd81:1::2
                      ├── plain    10.81.2.2             a worker
    router ───────────┼── slow     10.81.3.2             a worker
                      ├── six      fd81:4::2             a worker, IPv6 only
                      ├── nat      10.81.5.2 ── hidden 192.168.77.2   a worker that nobody can connect to
                      └── client   10.81.6.2  fd81:6::2
"""

import contextlib
import os
import subprocess

HOSTS = {"master": (1, True, True), "plain": (2, True, False), "slow": (3, True, False), "six": (4, False, True),
         "nat": (5, True, False), "client": (6, True, True)}


class Impossible(Exception):
    """This machine has no network namespaces for us; says why."""


def ip(*arguments):
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


class Network:
    def __init__(self):
        self.tag = f"rh{os.getpid()}"

    def name(self, host):
        return f"{self.tag}{host}"

    def prefix(self, host):
        """What a command must begin with to run there."""
        return ["ip", "netns", "exec", self.name(host)]

    def cable(self, host):
        """The router's end of the host's cable."""
        return f"to{host}"

    def address(self, host, six=False):
        number = HOSTS[host][0]
        return f"fd81:{number}::2" if six else f"10.81.{number}.2"

    def build(self):
        for host in ("router", *HOSTS, "hidden"):
            try:
                ip("netns", "add", self.name(host))
                ip("-n", self.name(host), "link", "set", "lo", "up")
            except (OSError, subprocess.CalledProcessError) as error:
                raise Impossible(getattr(error, "stderr", b"") or error) from None
        router = self.name("router")
        self.sysctl("router", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
        for host, (number, four, six) in HOSTS.items():
            name = self.name(host)
            try:
                ip("-n", router, "link", "add", self.cable(host), "type", "veth", "peer", "name", "up0", "netns", name)
            except subprocess.CalledProcessError as error:
                raise Impossible(error.stderr) from None
            if four:
                ip("-n", router, "addr", "add", f"10.81.{number}.1/24", "dev", self.cable(host))
                ip("-n", name, "addr", "add", f"10.81.{number}.2/24", "dev", "up0")
            if six:
                ip("-n", router, "addr", "add", f"fd81:{number}::1/64", "dev", self.cable(host), "nodad")
                ip("-n", name, "addr", "add", f"fd81:{number}::2/64", "dev", "up0", "nodad")
            ip("-n", router, "link", "set", self.cable(host), "up")
            ip("-n", name, "link", "set", "up0", "up")
            if four:
                ip("-n", name, "route", "add", "default", "via", f"10.81.{number}.1")
            if six:
                ip("-n", name, "-6", "route", "add", "default", "via", f"fd81:{number}::1")
        try:
            subprocess.run([*self.prefix("nat"), "nft", "list", "ruleset"], check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError) as error:
            raise Impossible(f"no nftables: {getattr(error, 'stderr', b'') or error}") from None
        self.hide()

    def hide(self):
        """A host behind the one that translates addresses: it connects out, and nobody in."""
        nat, hidden = self.name("nat"), self.name("hidden")
        ip("-n", nat, "link", "add", "in0", "type", "veth", "peer", "name", "up0", "netns", hidden)
        ip("-n", nat, "addr", "add", "192.168.77.1/24", "dev", "in0")
        ip("-n", hidden, "addr", "add", "192.168.77.2/24", "dev", "up0")
        ip("-n", nat, "link", "set", "in0", "up")
        ip("-n", hidden, "link", "set", "up0", "up")
        ip("-n", hidden, "route", "add", "default", "via", "192.168.77.1")
        self.sysctl("nat", "net.ipv4.ip_forward=1")
        self.rules("nat", "table ip nat { chain out { type nat hook postrouting priority 100; oifname \"up0\" masquerade; }; }")

    def sysctl(self, host, *settings):
        subprocess.run([*self.prefix(host), "sysctl", "-qw", *settings], check=True)

    def rules(self, host, text):
        """Sets the packet filter of a host; "" lifts it."""
        subprocess.run([*self.prefix(host), "nft", "-f", "-"], input=f"flush ruleset\n{text}\n".encode(), check=True)

    def cut(self, host, cut=True):
        ip("-n", self.name("router"), "link", "set", self.cable(host), "down" if cut else "up")
        if not cut and HOSTS[host][2]:  # An address of IPv6 goes with the link.
            number = HOSTS[host][0]
            subprocess.run(["ip", "-n", self.name("router"), "addr", "add", f"fd81:{number}::1/64", "dev", self.cable(host), "nodad"],
                           capture_output=True)

    def slow(self, host, rate):
        """E.g. `1mbit`, towards the host; "" lifts it."""
        what = ["tc", "-n", self.name("router"), "qdisc"]
        if rate:
            subprocess.run([*what, "add", "dev", self.cable(host), "root", "tbf", "rate", rate, "burst", "16kbit", "latency", "400ms"],
                           check=True, capture_output=True)
        else:
            subprocess.run([*what, "del", "dev", self.cable(host), "root"], check=True, capture_output=True)

    def lose(self, host, percent):
        """Packets to and from the host; 0 lifts it."""
        cable = self.cable(host)
        rule = "; ".join(f"{way} \"{cable}\" numgen random mod 100 < {percent} drop" for way in ("oifname", "iifname"))
        self.rules("router", f"table inet lossy {{ chain forward {{ type filter hook forward priority 0; {rule}; }}; }}" if percent else "")

    def remove(self):
        for host in ("router", *HOSTS, "hidden"):
            subprocess.run(["ip", "netns", "del", self.name(host)], capture_output=True)


@contextlib.contextmanager
def network():
    mounted = os.path.ismount("/run/netns")
    made = Network()
    try:
        made.build()
        yield made
    finally:
        made.remove()
        if not mounted and not any(os.scandir("/run/netns") if os.path.isdir("/run/netns") else ()):
            subprocess.run(["umount", "/run/netns"], capture_output=True)  # `ip netns add` mounted it.
