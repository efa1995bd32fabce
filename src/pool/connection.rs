//! One connection: a stream that has shaken hands, and whether it is between two messages.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Instant;

use bson::RawDocumentBuf;

use super::generation::Generation;
use crate::auth::credentials::Mechanism;
use crate::deadline::Deadline;
use crate::error::{Allowed, Error, ErrorKind, Result};
use crate::event::Publisher;
use crate::event::command::{About, Watch};
use crate::net::stream::Stream;
use crate::net::wait;
use crate::topology::address::Address;
use crate::topology::server::ServerDescription;
use crate::wire::compression::Agreement;
use crate::wire::elements;
use crate::wire::message::{Given, Message};
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
    /// What the server calls this connection.
    pub server_connection_id: Option<i64>,
    /// The elements of the declared API version, which every command carries.
    pub server_api: Option<Arc<RawDocumentBuf>>,
    /// A request is on its way or a reply is due: nobody else could use the stream.
    in_flight: bool,
    /// The server goes on answering its exhaust cursor; the next reply answers this id.
    goes_on_as: Option<i32>,
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
            server_connection_id: None,
            server_api: None,
            in_flight: false,
            goes_on_as: None,
        }
    }

    pub fn address(&self) -> &Address {
        &self.description.address
    }

    /// Makes the bytes of one message. The declared API version goes with every command.
    pub fn seal(
        &self,
        message: &mut Message,
        extras: impl FnOnce(&mut Vec<u8>, Given<'_>) -> Result<()>,
    ) -> Result<()> {
        let api = self.server_api.as_deref();
        message.seal(next_request_id(), |out, given| {
            api.inspect(|api| elements::all_of(out, api));
            extras(out, given)
        })
    }

    /// Tells listeners and the logger of commands, if they want it, that a sealed message is about to be sent.
    /// Without an operation's id it is an operation of its own.
    pub fn watch(
        &self,
        events: &Publisher,
        message: &Message,
        database: &str,
        operation_id: Option<i32>,
    ) -> Option<Watch> {
        if !events.wants_commands() {
            return None;
        }
        let request_id = message.request_id();
        let about = About {
            name: message.name().to_owned(),
            database: database.to_owned(),
            request_id,
            operation_id: operation_id.unwrap_or(request_id),
            address: self.address().clone(),
            driver_connection_id: self.id,
            server_connection_id: self.server_connection_id,
            service_id: self.description.service_id,
            of_an_operation: operation_id.is_some(),
        };
        Some(Watch::start(events, about, message))
    }

    pub(super) fn stream(&self) -> &Arc<Stream> {
        &self.stream
    }

    /// Sends a sealed message and reads its answer; `None` if it asked for none. Where the server goes
    /// on answering, nothing is sent. Dropped midway, or failed, the connection stays marked as in
    /// flight and its pool closes it.
    async fn exchange(&mut self, message: &Message, deadline: Deadline) -> Result<Option<Reply>> {
        let goes_on_as = self.goes_on_as.take();
        let compressed = match goes_on_as {
            Some(_) => None,
            None => self.compression.compress(message),
        };
        self.in_flight = true;
        let stream = &self.stream;
        let answer = wait::until(deadline, async {
            let (head, tail) = match &compressed {
                Some(envelope) => (&envelope[..], &[][..]),
                None => message.parts(),
            };
            if goes_on_as.is_none() {
                stream.send(head, tail).await?;
            }
            if message.expects_reply() { stream.frame().await.map(Some) } else { Ok(None) }
        })
        .await;
        let frame = match answer {
            None => Err(Error::new(ErrorKind::NetworkTimeout, "timed out")),
            Some(frame) => frame.map_err(Error::from),
        };
        let reply = frame.and_then(|frame| match frame {
            None => Ok(None),
            Some(frame) => {
                let frame = self.compression.decompress(frame)?;
                let answers = goes_on_as.unwrap_or(message.request_id());
                Reply::parse(frame, answers, message.allows_exhaust()).map(Some)
            }
        });
        let reply = reply.map_err(|error| error.at(self.address()))?;
        self.in_flight = false;
        if message.allows_exhaust() {
            self.goes_on_as = reply.as_ref().and_then(Reply::goes_on_as);
            self.stream.expect_more(self.goes_on_as.is_some());
        }
        Ok(reply)
    }

    /// Sends a sealed message and checks whether its command succeeded, or failed with an allowed error.
    /// The `watch` publishes the result.
    pub async fn ask(
        &mut self,
        message: &Message,
        deadline: Deadline,
        watch: Option<Watch>,
        allowed: Option<&Allowed>,
    ) -> Result<Option<(Reply, Result<()>)>> {
        let mut answer = self.exchange(message, deadline).await.map(|reply| {
            let mut reply = reply?;
            let checked = match (reply.check(), allowed) {
                (Err(error), Some(allowed)) if allowed.covers(&error) => Ok(()),
                (checked, _) => checked,
            };
            Some((reply, checked))
        });
        if let Some(watch) = watch {
            match &mut answer {
                Ok(Some((reply, Ok(())))) => watch.succeeded(Some(reply)),
                Ok(None) => watch.succeeded(None),
                Ok(Some((_, Err(error)))) | Err(error) => watch.failed(error),
            }
        }
        answer
    }

    /// Runs one command of the connection's own, outside of any operation.
    pub async fn command(
        &mut self,
        message: &mut Message,
        database: &str,
        events: &Publisher,
    ) -> Result<Reply> {
        self.seal(message, |out, _| {
            elements::string(out, "$db", database);
            Ok(())
        })?;
        let watch = self.watch(events, message, database, None);
        let answer = self.ask(message, Deadline::NEVER, watch, None).await?;
        let (reply, checked) = answer.ok_or_else(|| Error::protocol("an answer was expected"))?;
        checked.map(|()| reply)
    }

    /// It sent something malformed: it must not be used again.
    pub fn distrust(&mut self) {
        self.in_flight = true;
    }

    pub fn is_reusable(&self) -> bool {
        !self.in_flight && self.goes_on_as.is_none() && self.stream.is_clean()
    }

    /// Its cursor may read on; it is of no use to anybody else.
    pub fn goes_on(&self) -> bool {
        !self.in_flight && self.goes_on_as.is_some()
    }

    /// Looks at the socket itself when it has been idle long enough for the peer to have left.
    pub fn is_open(&self, now: Instant) -> bool {
        if now.saturating_duration_since(self.idle_since).as_millis() < CHECK_AFTER_MS {
            return self.stream.is_clean();
        }
        self.stream.is_idle_and_open()
    }
}

/// Unique in the process, as listeners pair the events of a command by it.
fn next_request_id() -> i32 {
    static NEXT: AtomicI32 = AtomicI32::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// PyMongo looks at sockets that were idle for a second.
const CHECK_AFTER_MS: u128 = 1000;
