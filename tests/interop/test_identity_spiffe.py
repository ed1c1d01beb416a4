"""X.509-SVIDs that openssl made, with the extensions that SPIRE writes; and openssl's own verdict on them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from strongroom.core.clock import now
from strongroom.identity import NotIdentified, TrustBundles, verify_svid

from ..conftest import missing

ID = "spiffe://acme.example/ns/train/sa/gpu"
CONFIGURATION = f"""
[req]
distinguished_name = name
[name]
[root]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
subjectAltName = URI:spiffe://acme.example
[leaf]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature, keyEncipherment, keyAgreement
extendedKeyUsage = serverAuth, clientAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
subjectAltName = URI:{ID}, DNS:gpu.acme.example
[server]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
subjectAltName = URI:{ID}
"""


class OpenSsl:
    """Runs openssl in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        found = shutil.which("openssl")
        if found is None:
            missing("openssl is not installed")
        self._command, self.folder = str(found), folder
        (folder / "openssl.cnf").write_text(CONFIGURATION)

    def run(self, *words: str, check: bool = True) -> int:
        done = subprocess.run([self._command, *words], cwd=self.folder, capture_output=True, check=check, timeout=30)
        return done.returncode

    def root(self, name: str) -> None:
        self.run(
            "req", "-x509", "-config", "openssl.cnf", "-extensions", "root", "-newkey", "ec", "-pkeyopt",
            "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/O=SPIFFE", "-keyout", f"{name}.key", "-out", f"{name}.pem",
        )  # fmt: skip

    def leaf(self, name: str, root: str, extensions: str = "leaf", digest: str = "sha256") -> bytes:
        self.run(
            "req", "-new", "-config", "openssl.cnf", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-subj", "/O=SPIRE", "-keyout", f"{name}.key", "-out", f"{name}.csr",
        )  # fmt: skip
        self.run(
            "x509", "-req", "-in", f"{name}.csr", "-CA", f"{root}.pem", "-CAkey", f"{root}.key", "-CAcreateserial",
            "-days", "1", f"-{digest}", "-extfile", "openssl.cnf", "-extensions", extensions, "-out", f"{name}.pem",
        )  # fmt: skip
        pem = (self.folder / f"{name}.pem").read_bytes()
        return x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER)

    def accepts(self, name: str, root: str) -> bool:
        words = ["verify", "-purpose", "sslclient", "-no-CApath", "-CAfile", f"{root}.pem", f"{name}.pem"]
        return self.run(*words, check=False) == 0


def test_what_openssl_makes_and_accepts_is_accepted_and_what_it_refuses_is_refused(tmp_path: Path) -> None:
    openssl = OpenSsl(tmp_path)
    openssl.root("ours")
    openssl.root("theirs")
    bundles = TrustBundles({"acme.example": (tmp_path / "ours.pem").read_bytes()})
    leaf = openssl.leaf("leaf", "ours")
    assert openssl.accepts("leaf", "ours")
    who = verify_svid([leaf], bundles, now=now())
    assert (who.principal, who.issuer) == (ID, "acme.example")
    for name, root, extensions in (("foreign", "theirs", "leaf"), ("server", "ours", "server")):
        der = openssl.leaf(name, root, extensions)
        assert not openssl.accepts(name, "ours")
        with pytest.raises(NotIdentified, match="chain"):
            verify_svid([der], bundles, now=now())


def test_a_certificate_that_is_signed_with_sha_1_is_refused(tmp_path: Path) -> None:
    openssl = OpenSsl(tmp_path)
    openssl.root("ours")
    der = openssl.leaf("old", "ours", digest="sha1")
    assert x509.load_der_x509_certificate(der).signature_algorithm_oid.dotted_string == "1.2.840.10045.4.1"
    with pytest.raises(NotIdentified, match="chain"):
        verify_svid([der], TrustBundles({"acme.example": (tmp_path / "ours.pem").read_bytes()}), now=now())
