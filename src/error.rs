//! The core error: what kind, which labels, what the server said. Questions such as "may this be
//! retried?" are methods here; turning it into a Python exception is `py::errors`' part.

use std::any::Any;
use std::sync::Arc;

use bson::RawDocumentBuf;

pub type Result<T> = std::result::Result<T, Error>;

#[derive(Clone, Debug, thiserror::Error)]
#[error("{}", .0.message)]
pub struct Error(Box<Detail>);

#[derive(Clone, Debug)]
struct Detail {
    kind: ErrorKind,
    message: String,
    labels: Vec<String>,
    reply: Option<RawDocumentBuf>,
    cause: Option<Cause>,
    reason: Option<Error>,
    before_handshake: bool,
}

/// Server errors that the caller allows: with them a command has succeeded.
#[derive(Clone, Debug, Default)]
pub struct Allowed {
    pub all: bool,
    pub codes: Vec<i32>,
    /// They decide only for servers too old to send a code.
    pub messages: Vec<String>,
}

impl Allowed {
    pub fn covers(&self, error: &Error) -> bool {
        let Some(reply) = error.reply().filter(|_| !error.is_write_concern()) else { return false };
        self.all
            || match reply.get("code") {
                Ok(Some(_)) => error.code().is_some_and(|code| self.codes.contains(&code)),
                _ => self.messages.iter().any(|message| message == error.message()),
            }
    }
}

/// What the caller's own code raised, known only to the room that called it.
pub type Cause = Arc<dyn Any + Send + Sync>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// No suitable server within serverSelectionTimeoutMS.
    ServerSelection,
    /// No connection became free within waitQueueTimeoutMS.
    WaitQueueTimeout,
    /// The connection broke or could not be made.
    Network,
    /// Nothing was sent: the server had failed others and the pool lends nothing until it is back.
    PoolCleared,
    /// connectTimeoutMS or socketTimeoutMS passed.
    NetworkTimeout,
    /// The server answered `ok: 0`, or a write concern error that retries may cure.
    Command {
        code: i32,
    },
    /// The server's message is malformed.
    Protocol,
    /// The message does, but the document in it is malformed.
    InvalidBson,
    /// The caller asked for what cannot be: ended session, closed client, wrong order of calls.
    InvalidOperation,
    /// Another caller is in the middle of a call of the same object: Python's RuntimeError.
    InUse,
    Configuration,
    /// The connection string and what was looked up for it do not go together.
    InvalidUri,
    /// Over the size that the server takes; nothing was sent.
    DocumentTooLarge,
    /// An argument that no server could accept: Python's ValueError.
    InvalidValue,
    /// The caller's own code failed: see `cause`.
    Callback,
    /// The transaction has failed before: see `reason`.
    RolledBack,
    /// The transaction log cannot be read or written.
    TransactionLog,
    /// The chunks of a GridFS file are not those that its document promises.
    CorruptFile,
}

pub const TRANSIENT_TRANSACTION: &str = "TransientTransactionError";
pub const UNKNOWN_COMMIT_RESULT: &str = "UnknownTransactionCommitResult";
pub const RETRYABLE_WRITE: &str = "RetryableWriteError";
pub const SYSTEM_OVERLOADED: &str = "SystemOverloadedError";
pub const RETRYABLE: &str = "RetryableError";
pub const NO_WRITES_PERFORMED: &str = "NoWritesPerformed";

impl Error {
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Error {
        Error(Box::new(Detail {
            kind,
            message: message.into(),
            labels: Vec::new(),
            reply: None,
            cause: None,
            reason: None,
            before_handshake: false,
        }))
    }

    pub fn protocol(message: impl Into<String>) -> Error {
        Error::new(ErrorKind::Protocol, message)
    }

    pub fn invalid_operation(message: impl Into<String>) -> Error {
        Error::new(ErrorKind::InvalidOperation, message)
    }

    /// A cursor serves one caller at a time.
    pub fn in_use() -> Error {
        Error::new(ErrorKind::InUse, "this cursor is in use by another caller")
    }

    /// An operation came after the end of the transaction that it would be part of.
    pub fn transaction_ended() -> Error {
        Error::invalid_operation(
            "the transaction has ended: an operation of its atomic() block, or a cursor that was opened \
             there, outlived it",
        )
    }

    /// For statements after the first one that failed.
    pub fn rolled_back(first: &Error) -> Error {
        let text = format!("the transaction is rolled back because of an earlier error: {first}");
        let mut error = Error::new(ErrorKind::RolledBack, text).because_of(first.clone());
        if first.has_label(TRANSIENT_TRANSACTION) {
            error.add_label(TRANSIENT_TRANSACTION);
        }
        error
    }

    /// `client`: the name of its class.
    pub fn client_closed(client: &str) -> Error {
        Error::invalid_operation(format!("Cannot use {client} after close"))
    }

    /// The operation is the parent's; this process was forked in the middle of it. A network error, as
    /// its outcome is unknown here.
    pub fn forked() -> Error {
        Error::new(ErrorKind::Network, crate::net::fork::INHERITED)
    }

    /// A server's error reply; `labels` come from its `errorLabels`.
    pub fn command(
        code: i32,
        message: impl Into<String>,
        labels: Vec<String>,
        reply: RawDocumentBuf,
    ) -> Error {
        let mut error = Error::new(ErrorKind::Command { code }, message);
        error.0.labels = labels;
        error.0.reply = Some(reply);
        error
    }

    /// A command that is not sent, as its answer could not come in time; looks like the server's own
    /// MaxTimeMSExpired.
    pub fn time_limit_exceeded(message: impl Into<String>) -> Error {
        let message = message.into();
        let reply = bson::rawdoc! { "ok": 0, "errmsg": message.as_str(), "code": MAX_TIME_EXPIRED };
        Error::command(MAX_TIME_EXPIRED, message, Vec::new(), reply)
    }

    pub fn callback(cause: Cause) -> Error {
        let mut error = Error::new(ErrorKind::Callback, "a callback failed");
        error.0.cause = Some(cause);
        error
    }

    /// The server's part of an authentication did not hold.
    pub fn authentication(message: impl Into<String>) -> Error {
        Error::new(ErrorKind::Command { code: 0 }, message)
    }

    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    pub fn message(&self) -> &str {
        &self.0.message
    }

    pub fn labels(&self) -> &[String] {
        &self.0.labels
    }

    pub fn reply(&self) -> Option<&RawDocumentBuf> {
        self.0.reply.as_ref()
    }

    pub fn cause(&self) -> Option<&Cause> {
        self.0.cause.as_ref()
    }

    /// An earlier error, without which this one would not have happened.
    pub fn reason(&self) -> Option<&Error> {
        self.0.reason.as_ref()
    }

    pub fn because_of(mut self, earlier: Error) -> Error {
        self.0.reason = Some(earlier);
        self
    }

    pub fn has_label(&self, label: &str) -> bool {
        self.0.labels.iter().any(|known| known == label)
    }

    pub fn add_label(&mut self, label: &str) {
        if !self.has_label(label) {
            self.0.labels.push(label.to_owned());
        }
    }

    pub fn remove_label(&mut self, label: &str) {
        self.0.labels.retain(|known| known != label);
    }

    /// Names the place ("localhost:27017: ...") as PyMongo's network errors do.
    pub fn at(mut self, place: impl std::fmt::Display) -> Error {
        self.0.message = format!("{place}: {}", self.0.message);
        self
    }

    /// Explains what may have taken too long, or had too little time.
    pub fn with_timeouts(mut self, timeouts: impl FnOnce() -> String) -> Error {
        if self.is_network() || self.code() == Some(MAX_TIME_EXPIRED) {
            self.0.message.push_str(&timeouts());
        }
        self
    }

    /// The connection was never usable: nothing of the operation can have reached the server.
    pub fn in_handshake(mut self) -> Error {
        self.0.before_handshake = true;
        self
    }

    /// The server may have been too busy to take the connection: no sign that it is gone.
    pub fn overloaded(mut self) -> Error {
        self.add_label(SYSTEM_OVERLOADED);
        self.add_label(RETRYABLE);
        self
    }

    pub fn is_before_handshake(&self) -> bool {
        self.0.before_handshake
    }

    /// Nobody knows what else will come over this connection.
    pub fn is_nonsense(&self) -> bool {
        matches!(self.0.kind, ErrorKind::Protocol | ErrorKind::InvalidBson)
    }

    pub fn code(&self) -> Option<i32> {
        match self.0.kind {
            ErrorKind::Command { code } => Some(code),
            _ => None,
        }
    }

    pub fn is_network(&self) -> bool {
        matches!(
            self.0.kind,
            ErrorKind::Network | ErrorKind::NetworkTimeout | ErrorKind::PoolCleared
        )
    }

    /// The server refused the command; PyMongo's OperationFailure.
    pub fn is_command_failure(&self) -> bool {
        self.code().is_some() && !self.is_state_change()
    }

    /// The command itself worked.
    pub fn is_write_concern(&self) -> bool {
        let ok = self.reply().and_then(|reply| reply.get("ok").ok().flatten());
        ok.is_some_and(|ok| matches!(ok.as_f64().or(ok.as_i32().map(f64::from)), Some(1.0)))
    }

    pub fn is_timeout(&self) -> bool {
        use ErrorKind::*;
        matches!(self.0.kind, ServerSelection | WaitQueueTimeout | NetworkTimeout)
            || self.code() == Some(MAX_TIME_EXPIRED)
    }

    /// The server wants to know again who is on the other end of the connection.
    pub fn wants_reauthentication(&self) -> bool {
        self.code() == Some(391)
    }

    /// "not primary" and "node is recovering" codes (SDAM specification).
    pub fn is_state_change(&self) -> bool {
        self.code().is_some_and(is_state_change_code)
    }

    /// Retryable reads specification.
    pub fn is_retryable_read(&self) -> bool {
        self.is_network() || self.code().is_some_and(is_retryable_code)
    }

    /// Of a commit or an abort, which the server knows by the transaction's number.
    pub fn is_retryable_ending(&self) -> bool {
        self.is_network() || self.has_label(RETRYABLE_WRITE)
    }
}

/// The server could not do it now, and may be able to later.
pub fn is_retryable_code(code: i32) -> bool {
    is_state_change_code(code) || matches!(code, 89 | 7 | 6 | 9001 | 262 | 134)
}

fn is_state_change_code(code: i32) -> bool {
    matches!(code, 10107 | 13435 | 10058 | 11600 | 11602 | 13436 | 189 | 91)
}

pub const MAX_TIME_EXPIRED: i32 = 50;

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Error {
        let kind = match error.kind() {
            std::io::ErrorKind::TimedOut => ErrorKind::NetworkTimeout,
            std::io::ErrorKind::InvalidData => ErrorKind::Protocol,
            _ => ErrorKind::Network,
        };
        Error::new(kind, error.to_string())
    }
}
