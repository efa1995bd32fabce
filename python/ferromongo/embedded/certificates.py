"""Certificates made on the spot: an authority, a server's certificate, a client's."""

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Certificates:
    """PEM files in one directory; keys are not encrypted and good for nothing but tests."""

    ca_file: Path
    ca_key_file: Path
    """The authority's private key, to sign further certificates with."""
    server_file: Path
    """Of localhost, 127.0.0.1 and ::1, with its private key."""
    client_file: Path
    """With its private key."""


def certificates_in(directory: str | Path) -> Certificates:
    """Where `make_certificates` puts them."""
    return Certificates(
        ca_file=Path(directory, "ca.pem"),
        ca_key_file=Path(directory, "ca.key"),
        server_file=Path(directory, "server.pem"),
        client_file=Path(directory, "client.pem"),
    )


def make_certificates(directory: Path) -> Certificates:
    try:
        import trustme
    except ImportError as error:
        raise RuntimeError("tls needs trustme: `pip install trustme`") from error
    files = certificates_in(directory)
    authority = trustme.CA()
    server = authority.issue_cert("localhost", "127.0.0.1", "::1", organization_name="servers")
    # A server takes a client of its own organization for a member of its replica set.
    client = authority.issue_cert(
        "client@ferromongo.invalid", common_name="client", organization_name="clients"
    )
    _write(files.ca_file, authority.cert_pem.bytes())
    _write(files.ca_key_file, authority.private_key_pem.bytes())
    _write(files.server_file, server.private_key_and_cert_chain_pem.bytes())
    _write(files.client_file, client.private_key_and_cert_chain_pem.bytes())
    return files


def _write(path: Path, text: bytes) -> None:
    """Readable by the owner only, whatever the umask; an existing file is replaced."""
    path.unlink(missing_ok=True)
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(file, "wb") as opened:
        os.fchmod(file, 0o600)
        opened.write(text)
