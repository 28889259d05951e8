"""A server that opens TLS in front of another one, as a company's proxy does: directly, and as an HTTPS proxy (CONNECT).

Arguments: the port, the upstream's host and port, the folder that gets ca.pem, and the kind of certificate.
"""

import datetime
import ipaddress
import pathlib
import socket
import ssl
import sys
import threading

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

NAMES = ["localhost", "*.eu-west-1.amazonaws.com", "*.amazonaws.com"]
DAY = datetime.timedelta(days=1)


def name(common):
    """A distinguished name."""
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, common)])


def certificate(subject, key, issuer, issuer_key, valid, names=None):
    """A certificate of an authority, or of a server with these names."""
    builder = x509.CertificateBuilder().subject_name(name(subject)).issuer_name(name(issuer))
    builder = builder.public_key(key.public_key()).serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(valid[0]).not_valid_after(valid[1])
    builder = builder.add_extension(x509.BasicConstraints(ca=names is None, path_length=None), critical=True)
    if names is not None:
        entries = [x509.DNSName(each) for each in names] + [x509.IPAddress(ipaddress.ip_address("127.0.0.2"))]
        builder = builder.add_extension(x509.SubjectAlternativeName(entries), critical=False)
    return builder.sign(issuer_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def create(folder, kind):
    """Writes the authority's certificate, and returns the server's TLS."""
    now = datetime.datetime.now(datetime.timezone.utc)
    valid = {"expired": (now - 9 * DAY, now - DAY), "early": (now + DAY, now + 9 * DAY)}.get(kind, (now - DAY, now + DAY))
    names = ["other.example"] if kind == "name" else NAMES
    authority, server = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    plain = serialization.NoEncryption()
    private = server.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    chain = certificate("localhost", server, "Company Root", authority, valid, names)
    (folder / "server.pem").write_bytes(private + chain)
    ca = certificate("Company Root", authority, "Company Root", authority, (now - 30 * DAY, now + 30 * DAY))
    (folder / "ca.pem").write_bytes(ca)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem")
    return context


def pipe(source, target):
    """Copies until one side ends."""
    try:
        while data := source.recv(65536):
            target.sendall(data)
    except OSError:
        pass
    for end in (source, target):
        try:
            end.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


def serve(client, context, upstream):
    """Serves one connection."""
    try:
        if client.recv(7, socket.MSG_PEEK) == b"CONNECT":
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                head += client.recv(1)
            client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        secure = context.wrap_socket(client, server_side=True)
        server = socket.create_connection(upstream)
    except OSError:
        client.close()
        return
    threading.Thread(target=pipe, args=(secure, server), daemon=True).start()
    pipe(server, secure)


def main():
    """Listens once the certificates are there."""
    port, upstream, folder, kind = sys.argv[1:]
    host, upstream_port = upstream.split(":")
    context = create(pathlib.Path(folder), kind)
    listener = socket.create_server(("127.0.0.1", int(port)), backlog=100)
    while True:
        client, _ = listener.accept()
        threading.Thread(target=serve, args=(client, context, (host, int(upstream_port))), daemon=True).start()


main()
