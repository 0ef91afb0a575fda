"""A device and AWS's end of its VPN, in two namespaces, with the files that Ansible writes."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.infra.edge_site import Namespace

CHARON = "/usr/sbin/charon-systemd"
TUNNELS = ("198.51.100.1", "198.51.100.2")
INSIDE = "10.64.244.10"
PLUGINS = (
    "random nonce aes sha1 sha2 hmac gcm openssl pem pkcs1 pkcs8 x509 revocation constraints "
    "kdf pubkey kernel-libipsec kernel-netlink socket-default vici"
)
"""libipsec in user space: the kernel of a test machine may have no ESP."""


_CLOUD_CONF = """
  aws-{number} {{
    version = 2
    local_addrs = {address}
    encap = yes
    dpd_delay = 10s
    proposals = aes256gcm16-prfsha384-ecp384
    local {{
      auth = pubkey
      certs = cloud.crt
      id = cloud.vigil.test
    }}
    remote {{
      auth = pubkey
      cacerts = ca.crt
      revocation = ifuri
    }}
    children {{ net {{
      local_ts = 10.64.244.0/22
      remote_ts = 10.128.2.160/28
      esp_proposals = aes256gcm16-ecp384
      dpd_action = clear
    }} }}
  }}
"""


class Authority:
    """The private CA of gateways, and its list of revoked certificates."""

    def __init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP384R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Gateways")])
        self.certificate = self._sign(self.name, self.key.public_key(), days=365, ca=True)

    def _sign(
        self, name: x509.Name, key: ec.EllipticCurvePublicKey, days: float, *, ca: bool = False
    ) -> x509.Certificate:
        now = datetime.now(UTC)
        begin, end = sorted((now - timedelta(days=1), now + timedelta(days=days)))
        builder = (
            x509.CertificateBuilder()
            .subject_name(name).issuer_name(self.name).public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(begin if days > 0 else begin - timedelta(days=9))
            .not_valid_after(end if days > 0 else now + timedelta(days=days))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()),
                critical=False)
        )  # fmt: skip
        if ca:
            usage = dict.fromkeys(
                ("digital_signature", "content_commitment", "key_encipherment", "key_agreement",
                 "data_encipherment", "encipher_only", "decipher_only"), False)  # fmt: skip
            builder = builder.add_extension(
                x509.KeyUsage(**usage, key_cert_sign=True, crl_sign=True), critical=True
            )
        else:
            common = name.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value
            builder = builder.add_extension(
                x509.SubjectAlternativeName([x509.DNSName(str(common))]), critical=False
            )
        return builder.sign(self.key, hashes.SHA384())

    def issue(self, name: str, days: float) -> tuple[bytes, bytes, x509.Certificate]:
        """Return a certificate and its key as PEM; negative days: it has expired."""
        key = ec.generate_private_key(ec.SECP384R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate = self._sign(subject, key.public_key(), days)
        private = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        return certificate.public_bytes(serialization.Encoding.PEM), private, certificate

    def pem(self) -> bytes:
        """Return the CA's certificate."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def revoked(self, *certificates: x509.Certificate) -> bytes:
        """Return a list (CRL) of revoked certificates."""
        now = datetime.now(UTC)
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self.name)
            .last_update(now - timedelta(minutes=1))
            .next_update(now + timedelta(days=7))
            .add_extension(x509.CRLNumber(int(now.timestamp())), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()),
                critical=False,
            )
        )
        for each in certificates:
            builder = builder.add_revoked_certificate(
                x509.RevokedCertificateBuilder()
                .serial_number(each.serial_number)
                .revocation_date(now - timedelta(minutes=1))
                .build()
            )
        return builder.sign(self.key, hashes.SHA384()).public_bytes(serialization.Encoding.PEM)


@dataclass
class Charon:
    """strongSwan in a namespace, with a folder of its own."""

    namespace: Namespace
    folder: Path
    process: "subprocess.Popen[bytes] | None" = None

    def __post_init__(self) -> None:
        for each in ("x509", "x509ca", "x509crl", "private", "conf.d"):
            (self.folder / "swanctl" / each).mkdir(parents=True, exist_ok=True)
        (self.folder / "swanctl/swanctl.conf").write_text("include conf.d/*.conf\n")

    @property
    def _environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "STRONGSWAN_CONF": str(self.folder / "strongswan.conf"),
            "SWANCTL_DIR": str(self.folder / "swanctl"),
        }

    def configure(self, settings: Path | None = None) -> None:
        """Write charon's settings: those of the laboratory, and a file of ours."""
        (self.folder / "strongswan.conf").write_text(
            f"""charon-systemd {{
  load = {PLUGINS}
  plugins {{ vici {{ socket = unix://{self.folder}/vici }} }}
  filelog {{ log {{
    path = {self.folder}/charon.log
    default = 1
    flush_line = yes
  }} }}
}}
swanctl {{ load = pem pkcs1 pkcs8 x509 pubkey openssl random }}
{f"include {settings}" if settings else ""}
"""
        )

    def start(self, *, load: bool = True) -> None:
        """Start charon; load its connections."""
        self.process = subprocess.Popen(
            ["ip", "netns", "exec", self.namespace.name, CHARON],
            env=self._environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        deadline = time.monotonic() + 20
        while not (self.folder / "vici").exists():
            assert time.monotonic() < deadline, self.log()
            assert self.process.poll() is None, self.log()
            time.sleep(0.05)
        if load:
            self.swanctl("--load-all", "--noprompt")

    def kill(self) -> None:
        """End charon without a word to its peer."""
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
            self.process = None
            (self.folder / "vici").unlink(missing_ok=True)

    def swanctl(self, command: str, *arguments: str, ok: bool = True) -> str:
        """Run a command of swanctl; return what it printed."""
        return subprocess.run(
            ["ip", "netns", "exec", self.namespace.name, "swanctl", command,
             "--uri", f"unix://{self.folder}/vici", *arguments],
            env=self._environment, check=ok, capture_output=True, text=True, timeout=60,
        ).stdout  # fmt: skip

    def installed(self) -> int:
        """Return how many tunnels are up."""
        return self.swanctl("--list-sas", ok=False).count("INSTALLED")

    def log(self) -> str:
        """Return the end of charon's log."""
        path = self.folder / "charon.log"
        return path.read_text()[-3000:] if path.exists() else ""


def give_addresses(cloud: Namespace) -> None:
    """Give AWS's ends and what is behind them their addresses.

    What is not encrypted does not arrive at the latter: an answer proves a tunnel.
    """
    for address in (*TUNNELS, INSIDE):
        cloud.run("ip", "addr", "add", f"{address}/32", "dev", "lo")
    cloud.run("nft", "add table inet lab; add chain inet lab input { type filter hook "
              "input priority 0; }; add rule inet lab input iifname eth0 ip daddr "
              "10.64.244.0/22 drop")  # fmt: skip


def configure_cloud(cloud: Charon, authority: Authority, timing: Path | None = None) -> None:
    """Write the settings of both of AWS's ends, with a certificate of their own.

    timing: the device's file of charon's settings, for ends that give up a silent peer as soon.
    """
    cloud.configure(timing)
    (cloud.folder / "swanctl/conf.d/cloud.conf").write_text(
        "connections {"
        + "".join(_CLOUD_CONF.format(number=n, address=a) for n, a in enumerate(TUNNELS, 1))
        + "}\n"
    )
    (cloud.folder / "swanctl/x509ca/ca.crt").write_bytes(authority.pem())
    certificate, key, _ = authority.issue("cloud.vigil.test", 30)
    (cloud.folder / "swanctl/x509/cloud.crt").write_bytes(certificate)
    (cloud.folder / "swanctl/private/cloud.key").write_bytes(key)


ECHO = f"""
import socket
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.bind(("{INSIDE}", 9999))
while True:
    data, sender = sock.recvfrom(100)
    sock.sendto(data, sender)
"""
PROBE = f"""
import socket, sys, time
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.bind((sys.argv[1], 0))
sock.settimeout(0.1)
number = 0
while True:
    number += 1
    try:
        sock.sendto(b"%d" % number, ("{INSIDE}", 9999))
        # After a cut, answers to older requests come in a burst: they are not counted.
        while sock.recv(100) != b"%d" % number:
            pass
        print(time.monotonic(), flush=True)
    except OSError:
        pass
    time.sleep(0.05)
"""


@dataclass
class Probe:
    """Asks a program behind the VPN all the time, and notes when it answers."""

    answers: list[float] = field(default_factory=list)
    arrived: threading.Condition = field(default_factory=threading.Condition)

    def follow(self, process: "subprocess.Popen[bytes]") -> None:
        """Read the answers of a probe until it ends."""
        assert process.stdout is not None
        for line in process.stdout:
            with self.arrived:
                self.answers.append(float(line))
                self.arrived.notify_all()

    def wait_for_answer(self, within_s: float) -> float:
        """Return after how many seconds the next answer came."""
        began = time.monotonic()
        with self.arrived:
            known = len(self.answers)
            found = self.arrived.wait_for(lambda: len(self.answers) > known, within_s)
        assert found, f"no answer within {within_s:.0f} s"
        return self.answers[known] - began

    def silent_for(self, seconds: float) -> bool:
        """Say whether no answer came for so long; those on their way now do not count."""
        time.sleep(0.5)
        with self.arrived:
            known = len(self.answers)
            return not self.arrived.wait_for(lambda: len(self.answers) > known, seconds)


@contextmanager
def probing(edge: Namespace, cloud: Namespace, address: str) -> Iterator[Probe]:
    """Ask through the VPN until the end."""
    echo = subprocess.Popen(["ip", "netns", "exec", cloud.name, "python3", "-c", ECHO])
    asking = subprocess.Popen(
        ["ip", "netns", "exec", edge.name, "python3", "-c", PROBE, address],
        stdout=subprocess.PIPE,
    )
    probe = Probe()
    thread = threading.Thread(target=probe.follow, args=(asking,), daemon=True)
    thread.start()
    try:
        yield probe
    finally:
        for each in (asking, echo):
            each.kill()
            each.wait()
        thread.join(5)
