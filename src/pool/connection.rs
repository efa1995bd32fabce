//! One connection: a stream that has shaken hands, and whether it is between two messages.

use std::sync::Arc;
use std::time::Instant;

use bson::RawDocumentBuf;

use super::generation::Generation;
use crate::auth::credentials::Mechanism;
use crate::deadline::Deadline;
use crate::error::{Error, Kind, Result};
use crate::net::stream::Stream;
use crate::net::wait;
use crate::topology::address::Address;
use crate::topology::server::ServerDescription;
use crate::wire::compression::Agreement;
use crate::wire::elements;
use crate::wire::message::Message;
use crate::wire::reply::Reply;

pub struct Connection {
    stream: Arc<Stream>,
    /// Counts from 1 at each server; 0 for one that no pool has taken in.
    pub id: u64,
    /// The server as it described itself in this connection's handshake.
    pub description: Arc<ServerDescription>,
    pub compression: Agreement,
    /// The server's when this connection was made.
    pub generation: Generation,
    pub idle_since: Instant,
    /// How it authenticated, if it did.
    pub mechanism: Option<Mechanism>,
    /// The elements of the declared API version, which every command carries.
    pub server_api: Option<Arc<RawDocumentBuf>>,
    last_request: i32,
    /// A request is on its way or a reply is due: nobody else could use the stream.
    in_flight: bool,
}

impl Connection {
    pub fn new(
        stream: Arc<Stream>,
        description: ServerDescription,
        generation: Generation,
    ) -> Self {
        let (idle_since, description) = (Instant::now(), Arc::new(description));
        Connection {
            stream,
            id: 0,
            description,
            compression: Agreement::default(),
            generation,
            idle_since,
            mechanism: None,
            server_api: None,
            last_request: 1,
            in_flight: false,
        }
    }

    pub fn address(&self) -> &Address {
        &self.description.address
    }

    pub(super) fn stream(&self) -> &Arc<Stream> {
        &self.stream
    }

    /// Sends one message and reads its answer; `None` if it asked for none. Dropped midway, or
    /// failed, the connection stays marked as in flight and its pool closes it.
    pub async fn exchange(
        &mut self,
        message: &mut Message,
        deadline: Deadline,
        extras: impl FnOnce(&mut Vec<u8>) -> Result<()>,
    ) -> Result<Option<Reply>> {
        self.last_request = self.last_request.wrapping_add(1);
        let api = self.server_api.as_deref();
        message.seal(self.last_request, |out| {
            api.inspect(|api| elements::all_of(out, api));
            extras(out)
        })?;
        self.exchange_sealed(message, deadline).await
    }

    /// Sends a message as it was sealed, which also repeats one that was answered with a refusal.
    pub async fn exchange_sealed(
        &mut self,
        message: &Message,
        deadline: Deadline,
    ) -> Result<Option<Reply>> {
        let compressed = self.compression.compress(message);
        self.in_flight = true;
        let stream = &self.stream;
        let answer = wait::until(deadline, async {
            let (head, tail) = match &compressed {
                Some(envelope) => (&envelope[..], &[][..]),
                None => message.parts(),
            };
            stream.send(head, tail).await?;
            if message.expects_reply() { stream.frame().await.map(Some) } else { Ok(None) }
        })
        .await;
        let frame = match answer {
            None => Err(Error::new(Kind::NetworkTimeout, "timed out")),
            Some(frame) => frame.map_err(Error::from),
        };
        let reply = frame.and_then(|frame| match frame {
            None => Ok(None),
            Some(frame) => {
                let frame = self.compression.decompress(frame)?;
                Reply::parse(frame, message.request_id()).map(Some)
            }
        });
        let reply = reply.map_err(|error| error.at(self.address()))?;
        self.in_flight = false;
        Ok(reply)
    }

    /// Runs one command of the connection's own, outside of any operation.
    pub async fn command(&mut self, message: &mut Message, database: &str) -> Result<Reply> {
        let reply = self
            .exchange(message, Deadline::NEVER, |out| {
                elements::string(out, "$db", database);
                Ok(())
            })
            .await?;
        let mut reply = reply.ok_or_else(|| Error::protocol("an answer was expected"))?;
        reply.check().map(|()| reply)
    }

    /// What it said makes no sense: nobody shall use it again.
    pub fn distrust(&mut self) {
        self.in_flight = true;
    }

    pub fn is_reusable(&self) -> bool {
        !self.in_flight && self.stream.is_clean()
    }

    /// Looks at the socket itself when it has been idle long enough for the peer to have left.
    pub fn is_open(&self, now: Instant) -> bool {
        if now.saturating_duration_since(self.idle_since).as_millis() < CHECK_AFTER_MS {
            return self.stream.is_clean();
        }
        self.stream.is_idle_and_open()
    }
}

/// PyMongo looks at sockets that were idle for a second.
const CHECK_AFTER_MS: u128 = 1000;
