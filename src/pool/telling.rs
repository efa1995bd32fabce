//! What listeners hear of checkouts and of connections being made: each beginning gets its end, also
//! when the caller is cancelled in between. The clock is read only when somebody listens.

use std::time::Instant;

use super::server::Server;
use crate::error::{Error, ErrorKind};
use crate::event::pool::{CheckOutFailure, CloseReason, PoolChange};

/// A checkout under way.
pub struct Request<'a> {
    server: &'a Server,
    /// `None` when nobody listens.
    began: Option<Instant>,
}

impl Request<'_> {
    pub fn begin(server: &Server) -> Request<'_> {
        let mut began = None;
        server.tell(|| {
            began = Some(Instant::now());
            PoolChange::CheckOutStarted
        });
        Request { server, began }
    }

    /// With the id of the connection.
    pub fn end(mut self, outcome: Result<u64, &Error>) {
        let Some(began) = self.began.take() else { return };
        self.server.tell(|| match outcome {
            Ok(id) => PoolChange::CheckedOut { id, duration: began.elapsed() },
            Err(error) => failed(began, reason(error)),
        });
    }
}

impl Drop for Request<'_> {
    fn drop(&mut self) {
        if let Some(began) = self.began
            && !self.server.is_inherited()
        {
            self.server.tell(|| failed(began, CheckOutFailure::ConnectionError));
        }
    }
}

/// A connection being made.
pub struct Making<'a> {
    server: &'a Server,
    id: u64,
    began: Option<Instant>,
    succeeded: bool,
}

impl Making<'_> {
    pub fn begin(server: &Server) -> Making<'_> {
        let id = server.next_connection_id();
        let mut began = None;
        server.tell(|| {
            began = Some(Instant::now());
            PoolChange::ConnectionCreated { id }
        });
        Making { server, id, began, succeeded: false }
    }

    /// Answers the connection's id.
    pub fn succeeded(mut self) -> u64 {
        self.succeeded = true;
        let id = self.id;
        if let Some(began) = self.began {
            self.server.tell(|| PoolChange::ConnectionReady { id, duration: began.elapsed() });
        }
        id
    }
}

impl Drop for Making<'_> {
    fn drop(&mut self) {
        if !self.succeeded && !self.server.is_inherited() {
            let (id, reason) = (self.id, CloseReason::Error);
            self.server.tell(|| PoolChange::ConnectionClosed { id, reason });
        }
    }
}

fn failed(began: Instant, reason: CheckOutFailure) -> PoolChange {
    PoolChange::CheckOutFailed { reason, duration: began.elapsed() }
}

fn reason(error: &Error) -> CheckOutFailure {
    match error.kind() {
        ErrorKind::WaitQueueTimeout => CheckOutFailure::Timeout,
        ErrorKind::InvalidOperation => CheckOutFailure::PoolClosed,
        _ => CheckOutFailure::ConnectionError,
    }
}
