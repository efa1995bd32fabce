"""A name server of our own for `mongodb+srv://`: records in a table, answered over UDP.

    with NameServer() as names:
        names.srv("cluster.sample.test", ("a.sample.test", 27017))
        names.txt("cluster.sample.test", "authSource=thisDB")

Inside the block dnspython's default resolvers ask it and nobody else, as if a user had set them.
"""

import socket
import threading

import dns.asyncresolver
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.resolver
import dns.rrset


class NameServer:
    def __init__(self):
        self.records = {}
        self.asked = []
        self.silent = False
        self.ttl = 0
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve)

    @property
    def port(self):
        return self._socket.getsockname()[1]

    def srv(self, name, *hosts, service="mongodb"):
        """All SRV records of a name: (target, port) each; none at all without hosts."""
        records = [f"0 5 {port} {target}." for target, port in hosts]
        self._set(f"_{service}._tcp.{name}", "SRV", records)

    def txt(self, name, *records):
        """All TXT records of a name; a record of several strings is a tuple."""
        strings = [[record] if isinstance(record, str) else record for record in records]
        self._set(name, "TXT", [" ".join(f'"{part}"' for part in parts) for parts in strings])

    def asked_for(self, kind):
        return [name for name, asked in list(self.asked) if asked == kind]

    def __enter__(self):
        self._before = dns.resolver.default_resolver, dns.asyncresolver.default_resolver
        use(self.port)
        self._thread.start()
        return self

    def __exit__(self, *error):
        dns.resolver.default_resolver, dns.asyncresolver.default_resolver = self._before
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as bell:
            bell.sendto(b"", ("127.0.0.1", self.port))
        self._thread.join()
        self._socket.close()

    def _set(self, name, kind, records):
        self.records = self.records | {(f"{name}.".lower(), kind): records}

    def _serve(self):
        while True:
            data, client = self._socket.recvfrom(65535)
            if not data:
                return
            query = dns.message.from_wire(data)
            question = query.question[0]
            kind = dns.rdatatype.to_text(question.rdtype)
            self.asked.append((str(question.name), kind))
            if not self.silent:
                self._socket.sendto(self._answer(query, question, kind).to_wire(), client)

    def _answer(self, query, question, kind):
        reply = dns.message.make_response(query)
        reply.flags |= dns.flags.RA
        name = str(question.name).lower()
        records = self.records.get((name, kind))
        if records:
            reply.answer.append(dns.rrset.from_text_list(name, self.ttl, "IN", kind, records))
        elif all(known != name for known, _ in self.records):
            reply.set_rcode(dns.rcode.NXDOMAIN)
        return reply


def use(port):
    """Have dnspython ask the name server at that port of this machine."""
    for module in (dns.resolver, dns.asyncresolver):
        resolver = module.Resolver(configure=False)
        resolver.nameservers, resolver.port = ["127.0.0.1"], port
        module.default_resolver = resolver


async def looked_up(driver, uri, **options):
    """A client that knows its servers' names; the synchronous one does as soon as it is made."""
    client = driver.client(uri, **options)
    if driver.name == "async":
        try:
            await client.aconnect()
        except BaseException:
            await client.close()
            raise
    return client
