//! The marker document of a transaction: it is there once the transaction is committed, and tells so when the
//! server has forgotten the session.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::deadline::TimeLimit;
use crate::error::{Error, Result};
use crate::exec::client::ClientCore;
use crate::exec::operation::{CommandKind, Operation, Terms};
use crate::exec::run::run;
use crate::journal::entry::{self, Key};
use crate::session::client::Session;
use crate::session::transaction::State;
use crate::wire::elements;
use crate::wire::message::Message;

/// The transaction that is to be marked before its commit: one that was noted in a log that wants it.
pub fn wanted<'a>(client: &'a ClientCore, session: &Session) -> Option<(&'a str, Key)> {
    let marker = client.settings.journal.as_ref()?.marker()?;
    if !session.is_of_this_process() {
        return None; // its commit is refused
    }
    let state = session.state();
    let log = state.transaction.log.as_ref()?;
    (state.transaction.state == State::InProgress).then(|| (marker, log.key()))
}

/// Inserts it, as the last statement of the transaction.
pub async fn insert(
    client: &ClientCore,
    session: &Arc<Session>,
    (namespace, key): (&str, Key),
    limit: TimeLimit,
) -> Result<()> {
    let Some((database, collection)) = namespace.split_once('.') else {
        return Err(Error::invalid_operation(format!("{namespace:?} names no collection")));
    };
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut document = Vec::new();
    elements::open_document(&mut document, |out| {
        elements::nested(out, "_id", |out| entry::append_key(key, out));
        elements::date(out, "at", i64::try_from(since.as_millis()).unwrap_or(i64::MAX));
    });
    let message = Message::from_elements(|out| elements::string(out, "insert", collection))
        .with_sequence("documents", document);
    let kind = CommandKind::Write { retry: false };
    let terms = Terms { limit, ..Terms::new(database.into(), kind, session.clone()) };
    let outcome = run(client, &mut Operation { message, terms }).await?;
    outcome.into_reply()?.write_error().map_or(Ok(()), Err)
}
