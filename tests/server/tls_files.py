"""Certificates that are wrong on purpose, and a client's key behind a password."""

import datetime
from pathlib import Path

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization


def another_authority(directory):
    path = directory / "another_ca.pem"
    trustme.CA().cert_pem.write_to_path(path)
    return path


def revocation_list(directory, certificates, *, of_server, valid_days=1):
    """A list of the authority, with or without the server's certificate on it."""
    authority, key = _authority(certificates)
    server = x509.load_pem_x509_certificate(certificates.server_file.read_bytes())
    revoked = server.serial_number if of_server else server.serial_number + 1
    now = datetime.datetime.now(datetime.UTC)
    entry = x509.RevokedCertificateBuilder().serial_number(revoked).revocation_date(now).build()
    made = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(authority.subject)
        .last_update(now - datetime.timedelta(days=2))
        .next_update(now + datetime.timedelta(days=valid_days))
        .add_revoked_certificate(entry)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.public_key()), False
        )
        .add_extension(x509.CRLNumber(1), False)
        .sign(key, hashes.SHA256())
    )
    path = directory / "revoked.pem"
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    return path


def encrypted(directory, certificates, password, form=serialization.PrivateFormat.PKCS8):
    """The client's certificate, with its key encrypted."""
    text = certificates.client_file.read_bytes()
    key = serialization.load_pem_private_key(text, None)
    path = Path(directory, "encrypted.pem")
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            form,
            serialization.BestAvailableEncryption(password.encode()),
        )
        + text[text.index(b"-----BEGIN CERTIFICATE") :]
    )
    return path


def _authority(certificates):
    certificate = x509.load_pem_x509_certificate(certificates.ca_file.read_bytes())
    key = serialization.load_pem_private_key(certificates.ca_key_file.read_bytes(), None)
    return certificate, key
