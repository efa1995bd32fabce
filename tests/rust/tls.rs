//! Streams under TLS against a rustls server: what the protocol does by itself must not be seen above.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use ferromongo::net::blocking;
use ferromongo::net::connect::Endpoint;
use ferromongo::net::inbox::Filled;
use ferromongo::net::stream::Stream;
use ferromongo::net::tls::settings::{TlsOptions, TlsSettings};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{
    ClientConfig, HandshakeKind, ServerConfig, ServerConnection, SupportedProtocolVersion,
};

#[test]
fn frames_of_every_size_go_both_ways() {
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let pair = Pair::new(&["localhost"], &[version]);
        let (client, server) = pair.connect("localhost");
        let echo = thread::spawn(move || server.unwrap().echo());
        for length in [5, 100, 16_383, 16_384, 16_385, 200_000, 20_000_000] {
            let sent = frame(length);
            let (head, tail) = sent.split_at(length / 3);
            run(client.send(head, tail)).unwrap();
            let received = run(client.frame()).unwrap();
            assert!(*received == sent, "{length} bytes came back changed");
        }
        drop(client);
        echo.join().unwrap().expect("a client that leaves says goodbye");
    }
}

#[test]
fn tickets_on_an_idle_connection_are_not_out_of_turn() {
    let pair = Pair::new(&["localhost"], rustls::ALL_VERSIONS);
    let (client, server) = pair.connect("localhost");
    let mut server = server.unwrap();
    wait_until(|| is_readable(&client)); // rustls sends its tickets right after the handshake
    assert!(client.is_idle_and_open());
    assert!(!is_readable(&client));
    server.send(&frame(10));
    wait_until(|| is_readable(&client));
    assert!(!client.is_idle_and_open(), "what nobody asked for");
}

#[test]
fn new_keys_may_come_at_any_time() {
    let pair = Pair::new(&["localhost"], &[&rustls::version::TLS13]);
    let (client, server) = pair.connect("localhost");
    let mut server = server.unwrap();
    for round in 1..5 {
        server.connection.refresh_traffic_keys().unwrap();
        server.send(&[]);
        wait_until(|| is_readable(&client));
        assert!(client.is_idle_and_open());
        // The client answers with new keys of its own, in front of its next message.
        run(client.send(&frame(1000 * round), &[])).unwrap();
        assert_eq!(server.receive(1000 * round), frame(1000 * round));
        server.send(&frame(50_000));
        assert_eq!(*run(client.frame()).unwrap(), frame(50_000));
    }
}

#[test]
fn behind_a_frame_that_nobody_takes_tls_may_speak_but_not_the_peer() {
    let pair = Pair::new(&["localhost"], &[&rustls::version::TLS13]);
    let (client, server) = pair.connect("localhost");
    let mut server = server.unwrap();
    server.send(&frame(100));
    wait_until(|| client.fill() == Filled::Frame);
    server.connection.refresh_traffic_keys().unwrap();
    server.send(&[]);
    wait_until(|| is_readable(&client));
    assert_eq!(client.fill(), Filled::Frame);
    assert!(!client.has_ended() && !is_readable(&client));
    server.send(&frame(10));
    wait_until(|| is_readable(&client));
    client.fill();
    assert!(client.has_ended());
    assert_eq!(*run(client.frame()).unwrap(), frame(100));
}

#[test]
fn a_goodbye_and_a_cut_line_both_end_the_stream() {
    for goodbye in [true, false] {
        let pair = Pair::new(&["localhost"], rustls::ALL_VERSIONS);
        let (client, server) = pair.connect("localhost");
        let mut server = server.unwrap();
        if goodbye {
            server.connection.send_close_notify();
            server.flush(); // the socket stays open
        } else {
            server.socket.shutdown(std::net::Shutdown::Both).unwrap();
        }
        let error = run(client.frame()).err().expect("the stream has ended");
        assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
        assert!(client.has_ended() && !client.is_idle_and_open());
    }
}

#[test]
fn half_a_record_is_waited_for() {
    let pair = Pair::new(&["localhost"], rustls::ALL_VERSIONS);
    let (client, server) = pair.connect("localhost");
    let mut server = server.unwrap();
    let writer = thread::spawn(move || {
        server.connection.writer().write_all(&frame(3000)).unwrap();
        let mut records = Vec::new();
        while server.connection.wants_write() {
            server.connection.write_tls(&mut records).unwrap();
        }
        for byte in records {
            server.socket.write_all(&[byte]).unwrap();
        }
        server
    });
    assert_eq!(*run(client.frame()).unwrap(), frame(3000));
    writer.join().unwrap();
}

#[test]
fn a_peer_that_reads_late_blocks_nothing_but_its_own_message() {
    let pair = Pair::new(&["localhost"], rustls::ALL_VERSIONS);
    let (client, server) = pair.connect("localhost");
    let mut server = server.unwrap();
    let message = frame(12_000_000);
    {
        // Dropped half sent, as a cancelled operation is.
        let mut polls = 0;
        let sending = pin!(client.send(&message, &[]));
        let interrupted = |_| {
            polls += 1;
            polls == 2
        };
        assert!(blocking::run(sending, interrupted).is_none(), "12 MB do not fit into a socket");
    }
    drop(client);
    server.read_all().expect_err("half a message is not followed by a goodbye");
}

#[test]
fn a_later_session_is_resumed() {
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let pair = Pair::new(&["localhost"], &[version]);
        for expected in [HandshakeKind::Full, HandshakeKind::Resumed] {
            let (client, server) = pair.connect("localhost");
            let mut server = server.unwrap();
            server.send(&frame(10));
            run(client.frame()).unwrap(); // the tickets came in front of it
            assert_eq!(server.connection.handshake_kind(), Some(expected));
        }
    }
}

#[test]
fn names_and_addresses_are_verified() {
    let pair = Pair::new(&["good.example", "127.0.0.1"], rustls::ALL_VERSIONS);
    for name in ["good.example", "127.0.0.1"] {
        assert!(pair.connect_result(name).is_ok());
    }
    for name in ["bad.example", "127.0.0.2", "::1"] {
        let error = pair.connect_result(name).err().expect("of another name");
        assert!(error.to_string().contains("certificate is not valid for"), "{error}");
    }
    let any_name = pair.trusting(|options| options.allow_invalid_hostnames = true);
    assert!(any_name.connect_result("bad.example").is_ok());
}

#[test]
fn an_unknown_authority_is_trusted_only_if_anybody_is() {
    let pair = Pair::new(&["localhost"], rustls::ALL_VERSIONS);
    let other = Pair::new(&["localhost"], rustls::ALL_VERSIONS);
    let other_file = other.options.ca_file.clone();
    for any_name in [false, true] {
        let strict = pair.trusting(|options| {
            options.ca_file = other_file.clone();
            options.allow_invalid_hostnames = any_name;
        });
        let error = strict.connect_result("localhost").err().expect("signed by a stranger");
        assert!(error.to_string().contains("certificate verify failed"), "{error}");
    }
    let own = Pair::self_signed("localhost");
    let error = own.connect_result("localhost").err().expect("not made for a server");
    assert!(error.to_string().contains("CA:TRUE"), "{error}");
    let lenient = pair.trusting(|options| options.allow_invalid_certificates = true);
    assert!(lenient.connect_result("anybody.example").is_ok());
}

#[test]
fn nothing_secret_is_shown() {
    let options = TlsOptions {
        certificate_key_password: Some("a secret".to_owned().into()),
        allow_invalid_certificates: true,
        ..TlsOptions::default()
    };
    let settings = TlsSettings::load(options).unwrap();
    assert!(!format!("{settings:?}").contains("secret"));
}

/// A server and what a client needs to know of it.
struct Pair {
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
    options: TlsOptions,
    ca_file: Arc<TemporaryFile>,
}

impl Pair {
    fn new(names: &[&str], versions: &[&'static SupportedProtocolVersion]) -> Pair {
        let mut authority = CertificateParams::new(Vec::new()).unwrap();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let authority = CertifiedIssuer::self_signed(authority, key).unwrap();
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &authority);
        Pair::of(certificate.unwrap().der(), &key, authority.der(), versions)
    }

    /// A server that shows an authority's certificate as its own.
    fn self_signed(name: &str) -> Pair {
        let mut authority = CertificateParams::new(vec![name.to_owned()]).unwrap();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = authority.self_signed(&key).unwrap();
        Pair::of(certificate.der(), &key, certificate.der(), rustls::ALL_VERSIONS)
    }

    fn of(
        certificate: &CertificateDer<'static>,
        key: &KeyPair,
        authority: &CertificateDer<'static>,
        versions: &[&'static SupportedProtocolVersion],
    ) -> Pair {
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let server = ServerConfig::builder_with_provider(ring::default_provider().into())
            .with_protocol_versions(versions)
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.clone()], key)
            .unwrap();
        let section = pem::Pem::new("CERTIFICATE", authority.to_vec());
        let ca_file = TemporaryFile::new(&pem::encode(&section));
        let options = TlsOptions { ca_file: Some(ca_file.0.clone()), ..TlsOptions::default() };
        let client = TlsSettings::load(options.clone()).unwrap().client_config();
        Pair { server: Arc::new(server), client, options, ca_file }
    }

    fn trusting(&self, change: impl FnOnce(&mut TlsOptions)) -> Pair {
        let mut options = self.options.clone();
        change(&mut options);
        let client = TlsSettings::load(options.clone()).unwrap().client_config();
        Pair { server: self.server.clone(), client, options, ca_file: self.ca_file.clone() }
    }

    fn connect(&self, name: &str) -> (Arc<Stream>, io::Result<Server>) {
        let (client, server) = self.try_connect(name);
        (client.unwrap(), server)
    }

    fn connect_result(&self, name: &str) -> io::Result<Arc<Stream>> {
        self.try_connect(name).0
    }

    fn try_connect(&self, name: &str) -> (io::Result<Arc<Stream>>, io::Result<Server>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let config = self.server.clone();
        let server = thread::spawn(move || {
            let (socket, _) = listener.accept()?;
            let mut server = Server { connection: ServerConnection::new(config).unwrap(), socket };
            server.connection.set_buffer_limit(None);
            server.connection.complete_io(&mut server.socket)?;
            Ok(server)
        });
        let stream = run(Stream::connect(Endpoint::Ip(address), length, Arc::default())).unwrap();
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let client = run(stream.secure(self.client.clone(), name)).map(|()| stream);
        (client, server.join().unwrap())
    }
}

struct Server {
    connection: ServerConnection,
    socket: TcpStream,
}

impl Server {
    fn send(&mut self, plain: &[u8]) {
        self.connection.writer().write_all(plain).unwrap();
        self.flush();
    }

    fn flush(&mut self) {
        while self.connection.wants_write() {
            self.connection.write_tls(&mut self.socket).unwrap();
        }
    }

    fn receive(&mut self, length: usize) -> Vec<u8> {
        let mut received = vec![0; length];
        let mut stream = rustls::Stream::new(&mut self.connection, &mut self.socket);
        stream.read_exact(&mut received).unwrap();
        received
    }

    fn read_all(&mut self) -> io::Result<Vec<u8>> {
        let mut received = Vec::new();
        let mut stream = rustls::Stream::new(&mut self.connection, &mut self.socket);
        stream.read_to_end(&mut received).map(|_| received)
    }

    /// Sends whole frames back, until a goodbye.
    fn echo(mut self) -> io::Result<()> {
        let mut stream = rustls::Stream::new(&mut self.connection, &mut self.socket);
        let mut prefix = [0; 4];
        while stream.read(&mut prefix[..1])? > 0 {
            stream.read_exact(&mut prefix[1..])?;
            let mut bytes = vec![0; u32::from_le_bytes(prefix) as usize];
            bytes[..4].copy_from_slice(&prefix);
            stream.read_exact(&mut bytes[4..])?;
            stream.write_all(&bytes)?;
        }
        Ok(())
    }
}

/// Frames begin with their length.
fn length(bytes: &[u8]) -> io::Result<Option<usize>> {
    Ok(bytes.first_chunk::<4>().map(|length| u32::from_le_bytes(*length) as usize))
}

fn frame(length: usize) -> Vec<u8> {
    let mut bytes: Vec<u8> = (0..length).map(|n| (n * 7 % 251) as u8).collect();
    bytes[..4].copy_from_slice(&(length as u32).to_le_bytes());
    bytes
}

fn run<T>(future: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    let start = Instant::now();
    blocking::run(pin!(future), |_| start.elapsed() > PATIENCE).expect("it takes too long")
}

fn is_readable(stream: &Stream) -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    poll(&mut [PollFd::new(stream, PollFlags::IN)], Some(&Timespec::default())) == Ok(1)
}

fn wait_until(mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < PATIENCE, "what was expected did not come about");
        thread::sleep(Duration::from_millis(1));
    }
}

/// Removed with its last owner.
struct TemporaryFile(PathBuf);

impl TemporaryFile {
    fn new(text: &str) -> Arc<TemporaryFile> {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("ferromongo-tls-{}-{number}.pem", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, text).unwrap();
        Arc::new(TemporaryFile(path))
    }
}

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

const PATIENCE: Duration = Duration::from_secs(20);
