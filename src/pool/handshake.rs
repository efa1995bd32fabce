//! Making a connection: look up, connect, secure, say hello, authenticate.

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use bson::{RawDocument, RawDocumentBuf};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;

use super::authenticate::{Authenticator, entropy};
use super::connection::Connection;
use super::generation::{Generation, Generations};
use super::server::Server;
use crate::auth::opening::Opening;
use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind, Result};
use crate::event::Publisher;
use crate::metadata::Metadata;
use crate::net::buffers::Buffers;
use crate::net::connect::Endpoint;
use crate::net::stream::Stream;
use crate::net::wait;
use crate::topology::address::Address;
use crate::topology::hello;
use crate::topology::server::ServerDescription;
use crate::wire::compression::Offer;
use crate::wire::elements;
use crate::wire::framer::frame_length;
use crate::wire::message::Message;
use crate::wire::reply::Reply;

/// Name look-up, which must not happen on an event loop's thread.
pub type Lookup = Box<dyn Fn(&str, u16) -> Found + Send + Sync>;
pub type Found = Pin<Box<dyn Future<Output = std::io::Result<Vec<SocketAddr>>> + Send>>;

pub type Failed = Box<dyn Fn(&Server, &DialFailure) + Send + Sync>;

/// Told the `$clusterTime` of connections that operations may use. Of heartbeats and probes none is
/// taken, as the sessions specification has it.
pub type Gossip = Box<dyn Fn(&RawDocument) + Send + Sync>;

/// What every new connection of a client needs.
pub struct Dialer {
    pub metadata: Arc<Metadata>,
    pub server_api: Option<Arc<RawDocumentBuf>>,
    pub compression: Offer,
    pub buffers: Arc<Buffers>,
    pub lookup: Lookup,
    /// Told every server's answer to hello.
    pub observe: Box<dyn Fn(&ServerDescription) + Send + Sync>,
    /// Told every failure to make a connection for a pool.
    pub failed: Failed,
    pub gossip: Gossip,
    pub load_balanced: bool,
    pub authenticator: Option<Authenticator>,
    pub tls: Option<Tls>,
}

pub struct Tls {
    pub config: Arc<ClientConfig>,
    /// The name in the certificate is verified.
    pub verifies_names: bool,
}

pub struct DialFailure {
    pub error: Error,
    /// That of the connection it would have become.
    pub generation: Generation,
}

/// What a probe found; its round trip is that of the hello.
pub struct Probed {
    pub description: Arc<ServerDescription>,
    pub server_connection_id: Option<i64>,
    pub reply: Reply,
}

impl Dialer {
    /// A connection that operations may use. Its description carries the round trip of the hello.
    pub async fn dial(
        &self,
        address: &Address,
        generation: Generation,
        generations: &Generations,
        deadline: Deadline,
    ) -> std::result::Result<Connection, DialFailure> {
        let authenticator = self.authenticator.as_ref();
        let made = self.make(address, generation, generations, deadline, authenticator).await;
        let (connection, answer) = made?;
        if let Ok(time) = answer.body().get_document("$clusterTime") {
            (self.gossip)(time);
        }
        Ok(connection)
    }

    /// Only a hello, which needs no authentication. The connection is closed afterwards.
    pub async fn probe(&self, address: &Address, deadline: Deadline) -> Result<Probed> {
        let (generation, generations) = (Generation::default(), Generations::default());
        let made = self.make(address, generation, &generations, deadline, None).await;
        let (connection, reply) = made.map_err(|failure| failure.error)?;
        Ok(Probed {
            description: connection.description.clone(),
            server_connection_id: connection.server_connection_id,
            reply,
        })
    }

    async fn make(
        &self,
        address: &Address,
        generation: Generation,
        generations: &Generations,
        deadline: Deadline,
        authenticator: Option<&Authenticator>,
    ) -> std::result::Result<(Connection, Reply), DialFailure> {
        let greeted = OnceLock::new();
        let made = async {
            // Of a name that is not found, or too slowly, the server knows nothing.
            let found = in_time(address, deadline, self.resolve(address)).await?;
            let open = self.open(address, &found, generation, generations, authenticator, &greeted);
            in_time(address, deadline, open).await.map_err(|error| {
                let too_busy = error.kind() == ErrorKind::NetworkTimeout && greeted.get().is_none();
                if too_busy { error.overloaded() } else { error }
            })
        };
        made.await.map_err(|error| {
            let generation = greeted.get().copied().unwrap_or(generation);
            DialFailure { error: error.in_handshake(), generation }
        })
    }

    /// `greeted` is set as soon as the server has answered hello.
    async fn open(
        &self,
        address: &Address,
        found: &[SocketAddr],
        generation: Generation,
        generations: &Generations,
        authenticator: Option<&Authenticator>,
        greeted: &OnceLock<Generation>,
    ) -> Result<(Connection, Reply)> {
        let stream = self.connect(address, found).await?;
        if let Some(tls) = &self.tls {
            secure(address, &stream, tls).await?;
        }
        let unknown = ServerDescription::unknown(address.clone());
        let mut connection = Connection::new(stream, unknown, generation);
        connection.server_api = self.server_api.clone();
        let opening = authenticator.map(Authenticator::opening).transpose()?;
        let answer = self.hello(&mut connection, opening.as_ref()).await?;
        if let Some(service_id) = connection.description.service_id {
            connection.generation = generations.current(Some(service_id));
        }
        let _ = greeted.set(connection.generation);
        // Whatever kind of server the reply describes: a peer without the password could claim to be an
        // arbiter (which has no users), and would then receive the operations of a user.
        if let (Some(authenticator), Some(opening)) = (authenticator, opening) {
            let (conversation, next) = opening.answered(answer.body(), &entropy()?)?;
            authenticator.converse(&mut connection, conversation, next).await?;
        }
        Ok((connection, answer))
    }

    /// Nothing for a Unix domain socket, whose address is its path.
    async fn resolve(&self, address: &Address) -> Result<Vec<SocketAddr>> {
        if address.is_unix_socket() {
            return Ok(Vec::new());
        }
        let Some(port) = address.tcp_port() else {
            let error = Error::new(ErrorKind::Network, "a TCP port is a number from 1 to 65535");
            return Err(error.at(address));
        };
        if let Ok(ip) = address.host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(ip, port)]);
        }
        let found = (self.lookup)(&address.host, port).await;
        found.map_err(|error| Error::from(error).at(address))
    }

    async fn connect(&self, address: &Address, found: &[SocketAddr]) -> Result<Arc<Stream>> {
        let path = Path::new(&address.host);
        let endpoints: Vec<_> = match address.is_unix_socket() {
            true => vec![Endpoint::Unix(path)],
            false => found.iter().copied().map(Endpoint::Ip).collect(),
        };
        let mut failure = Error::new(ErrorKind::Network, "the host name has no address");
        for endpoint in endpoints {
            match Stream::connect(endpoint, frame_length, self.buffers.clone()).await {
                Ok(stream) => return Ok(stream),
                Err(error) => failure = Error::from(error).overloaded(),
            }
        }
        Err(failure.at(address))
    }

    async fn hello(&self, connection: &mut Connection, opening: Option<&Opening>) -> Result<Reply> {
        let mut message = Message::from_elements(|out| {
            // With these two the server is known to be young enough for the new name.
            if self.load_balanced || self.server_api.is_some() {
                elements::int32(out, "hello", 1);
            } else {
                elements::int32(out, "ismaster", 1);
                elements::boolean(out, "helloOk", true);
            }
            if self.load_balanced {
                elements::boolean(out, "loadBalanced", true);
            }
            // Servers that shed load may label errors of what may be tried again.
            elements::string(out, "backpressure", "2");
            elements::document(out, "client", &self.metadata.current().document);
            self.compression.append(out);
            if let Some(opening) = opening {
                opening.append(out);
            }
        });
        let start = Instant::now();
        // Of greetings no events are made.
        let silence = Publisher::default();
        let reply = connection.command(&mut message, "admin", &silence).await;
        let reply = reply.map_err(|error| match error.is_network() {
            true => error.overloaded(),
            false => error,
        })?;
        let now = Instant::now();
        let address = connection.address().clone();
        let description = hello::parse(address, reply.body(), Some(now - start), now);
        if self.load_balanced && description.service_id.is_none() {
            return Err(Error::new(ErrorKind::Configuration, NO_LOAD_BALANCER));
        }
        connection.compression = self.compression.agree(reply.body());
        connection.description = Arc::new(description);
        connection.server_connection_id = hello::connection_id(reply.body());
        connection.idle_since = now;
        (self.observe)(&connection.description);
        Ok(reply)
    }
}

async fn in_time<T>(
    address: &Address,
    deadline: Deadline,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    wait::until(deadline, work).await.unwrap_or_else(|| {
        Err(Error::new(ErrorKind::NetworkTimeout, "timed out while connecting").at(address))
    })
}

async fn secure(address: &Address, stream: &Arc<Stream>, tls: &Tls) -> Result<()> {
    let failed = |error: std::io::Error| {
        let text = format!("SSL handshake failed: {address}: {error}");
        let failure = Error::new(ErrorKind::Network, text);
        // What TLS itself refuses (a certificate) no waiting will cure.
        match error.kind() {
            std::io::ErrorKind::Other => failure,
            _ => failure.overloaded(),
        }
    };
    let host = match address.is_unix_socket() {
        // No certificate contains a path. Nothing has been sent.
        true if tls.verifies_names => {
            return Err(failed(std::io::Error::other(NO_NAME_TO_VERIFY)));
        }
        true => "localhost".to_owned(),
        false => address.host.clone(),
    };
    // Of a name that is no name nothing can be verified.
    let name = ServerName::try_from(host);
    let name = name.map_err(|error| failed(std::io::Error::other(error)))?;
    stream.secure(tls.config.clone(), name).await.map_err(failed)
}

const NO_NAME_TO_VERIFY: &str = "a certificate cannot contain the path of a Unix domain socket; disable TLS there, or set tlsAllowInvalidHostnames";
/// The words of the load balancers specification.
const NO_LOAD_BALANCER: &str = "Driver attempted to initialize in load balancing mode, but the server does not support this mode";
