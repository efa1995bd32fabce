//! Making a connection: look up, connect, secure, say hello, authenticate.

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use bson::RawDocumentBuf;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;

use super::authenticate::{Authenticator, entropy};
use super::connection::Connection;
use crate::auth::opening::Opening;
use crate::deadline::Deadline;
use crate::error::{Error, Kind, Result};
use crate::metadata::Metadata;
use crate::net::buffers::Buffers;
use crate::net::stream::{Endpoint, Stream};
use crate::net::wait;
use crate::topology::address::Address;
use crate::topology::hello;
use crate::topology::server::{ServerDescription, ServerType};
use crate::wire::compression::Offer;
use crate::wire::elements;
use crate::wire::framer::frame_length;
use crate::wire::message::Message;
use crate::wire::reply::Reply;

/// Name look-up, which must not happen on an event loop's thread.
pub type Lookup = Box<dyn Fn(&str, u16) -> Found + Send + Sync>;
pub type Found = Pin<Box<dyn Future<Output = std::io::Result<Vec<SocketAddr>>> + Send>>;

/// What every new connection of a client needs.
pub struct Dialer {
    pub metadata: Arc<Metadata>,
    pub server_api: Option<Arc<RawDocumentBuf>>,
    pub compression: Offer,
    pub buffers: Arc<Buffers>,
    pub lookup: Lookup,
    /// Told every server's answer to hello.
    pub observe: Box<dyn Fn(&ServerDescription) + Send + Sync>,
    pub load_balanced: bool,
    pub authenticator: Option<Authenticator>,
    pub tls: Option<Arc<ClientConfig>>,
}

impl Dialer {
    /// A connection that operations may use. Its description carries the round trip of the hello.
    pub async fn dial(
        &self,
        address: &Address,
        generation: u64,
        deadline: Deadline,
    ) -> Result<Connection> {
        self.make(address, generation, deadline, self.authenticator.as_ref()).await
    }

    /// Only asks how the server is, which needs no authentication.
    pub async fn probe(&self, address: &Address, deadline: Deadline) -> Result<()> {
        self.make(address, 0, deadline, None).await.map(drop)
    }

    async fn make(
        &self,
        address: &Address,
        generation: u64,
        deadline: Deadline,
        authenticator: Option<&Authenticator>,
    ) -> Result<Connection> {
        let made = wait::until(deadline, async {
            let stream = self.connect(address).await.map_err(|error| error.at(address))?;
            // Servers speak no TLS on a Unix domain socket.
            if let Some(config) = self.tls.as_ref().filter(|_| !address.is_unix_socket()) {
                secure(address, &stream, config.clone()).await?;
            }
            let unknown = ServerDescription::unknown(address.clone());
            let mut connection = Connection::new(stream, unknown, generation);
            connection.server_api = self.server_api.clone();
            let opening = authenticator.map(Authenticator::opening).transpose()?;
            let answer = self.hello(&mut connection, opening.as_ref()).await?;
            // Arbiters hold no users.
            let knows_users = connection.description.kind != ServerType::RSArbiter;
            if let (Some(authenticator), Some(opening), true) =
                (authenticator, opening, knows_users)
            {
                let (conversation, next) = opening.answered(answer.body(), &entropy()?)?;
                authenticator.converse(&mut connection, conversation, next).await?;
            }
            Ok(connection)
        });
        match made.await {
            Some(made) => made,
            None => {
                let error = Error::new(Kind::NetworkTimeout, "timed out while connecting");
                Err(error.at(address))
            }
        }
        .map_err(Error::in_handshake)
    }

    async fn connect(&self, address: &Address) -> Result<Arc<Stream>> {
        let make = |endpoint| Stream::connect(endpoint, frame_length, self.buffers.clone());
        if address.is_unix_socket() {
            let path = Path::new(&address.host).to_owned();
            return Ok(
                Stream::connect(Endpoint::Unix(&path), frame_length, self.buffers.clone()).await?
            );
        }
        let candidates = match address.host.parse::<IpAddr>() {
            Ok(ip) => vec![SocketAddr::new(ip, address.port)],
            Err(_) => (self.lookup)(&address.host, address.port).await?,
        };
        let mut failure = None;
        for candidate in candidates {
            match make(Endpoint::Ip(candidate)).await {
                Ok(stream) => return Ok(stream),
                Err(error) => failure = Some(error),
            }
        }
        Err(match failure {
            Some(error) => error.into(),
            None => Error::new(Kind::Network, "the host name has no address"),
        })
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
            elements::document(out, "client", &self.metadata.current().document);
            self.compression.append(out);
            if let Some(opening) = opening {
                opening.append(out);
            }
        });
        let start = Instant::now();
        let reply = connection.command(&mut message, "admin").await?;
        let now = Instant::now();
        let address = connection.address().clone();
        let description = hello::parse(address, reply.body(), Some(now - start), now);
        connection.compression = self.compression.agree(reply.body());
        connection.description = Arc::new(description);
        connection.idle_since = now;
        (self.observe)(&connection.description);
        Ok(reply)
    }
}

async fn secure(address: &Address, stream: &Arc<Stream>, config: Arc<ClientConfig>) -> Result<()> {
    let failed = |error: std::io::Error| {
        Error::new(Kind::Network, format!("SSL handshake failed: {address}: {error}"))
    };
    // Of a name that is no name nothing can be verified.
    let name = ServerName::try_from(address.host.clone());
    let name = name.map_err(|error| failed(std::io::Error::other(error)))?;
    stream.secure(config, name).await.map_err(failed)
}
