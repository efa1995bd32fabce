//! The elements that an attempt adds to the caller's command: concerns, session, transaction,
//! gossip, read preference, database.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bson::{RawDocument, RawDocumentBuf};

use super::client::ClientCore;
use super::operation::{CommandKind, Terms};
use crate::deadline::max_time_ms;
use crate::error::{Error, ErrorKind, Result};
use crate::journal::entry::Key;
use crate::journal::handle::{Beginning, Handle};
use crate::journal::log::Journal;
use crate::journal::statement::Statement;
use crate::session::client::{Session, State};
use crate::session::transaction::Options;
use crate::topology::read_preference::ReadPreference;
use crate::topology::server::ServerDescription;
use crate::topology::snapshot::TopologyKind;
use crate::wire::elements;
use crate::wire::message::Given;

/// What an attempt knows of where it goes.
pub struct Destination<'a> {
    pub client: &'a ClientCore,
    pub topology: TopologyKind,
    pub server: &'a Arc<ServerDescription>,
    /// Of that server, if the operation has a time limit.
    pub min_round_trip: Duration,
    /// Unacknowledged writes carry no implicit session: the server may still run them later.
    pub acknowledged: bool,
    /// A write that a causally consistent session orders behind what it has seen: see `is_ordered`.
    pub ordered_write: bool,
}

/// Writes that take `afterClusterTime`, as PyMongo has them.
pub fn is_ordered(terms: &Terms, command: &str) -> bool {
    !terms.session.implicit
        && matches!(terms.kind, CommandKind::Write { .. })
        && ORDERED_WRITES.contains(&command)
}

/// Called at the moment of sending: it draws the transaction number of a retryable write, and a
/// transaction counts as started on the server from here on.
pub fn append(
    terms: &mut Terms,
    to: &Destination<'_>,
    given: Given<'_>,
    out: &mut Vec<u8>,
) -> Result<()> {
    if let Some(at) = terms.limit.deadline().instant() {
        let remaining = at.saturating_duration_since(Instant::now());
        append_max_time(terms.kind, remaining, to.min_round_trip, out)?;
    }
    let session = terms.session.clone();
    let mut state = session.state();
    let in_transaction = state.transaction.is_active();
    let with_session = to.server.supports_sessions();
    if !with_session && !session.implicit {
        let text = "Sessions are not supported by this MongoDB deployment";
        return Err(Error::new(ErrorKind::Configuration, text));
    }
    let ends = matches!(terms.kind, CommandKind::EndTransaction { .. } | CommandKind::KillCursors);
    if session.turns.is_some() && !in_transaction && !ends {
        // It was given up while this operation was under way, which must not run on its own.
        return Err(Error::transaction_ended());
    }
    let own_concerns = !in_transaction && !matches!(terms.kind, CommandKind::EndTransaction { .. });
    if own_concerns {
        if let Some(write_concern) = &terms.write_concern {
            append_write_concern(terms, write_concern, out);
        }
        if matches!(terms.kind, CommandKind::Read { concern: true, .. } | CommandKind::Output) {
            append_read_concern(&session, &state, terms.read_concern.as_ref(), out);
        } else if to.ordered_write || (session.snapshot && terms.kind.may_name_a_snapshot()) {
            append_read_concern(&session, &state, None, out);
        }
    }
    if with_session && !terms.sessionless && (to.acknowledged || !session.implicit) {
        append_session(terms, to, &session, &mut state, given, out)?;
    }
    let mut preference = &terms.read_preference;
    let of_transaction;
    if in_transaction {
        of_transaction = state.transaction.options.read_preference.clone();
        preference = &of_transaction;
    }
    if with_session {
        to.client.with_cluster_time(state.cluster_time.as_ref(), |time| {
            elements::document(out, "$clusterTime", time);
        });
    }
    drop(state);
    // What goes to the server of an open cursor has no choice left.
    if !terms.is_write() && !matches!(terms.kind, CommandKind::GetMore | CommandKind::KillCursors) {
        append_read_preference(preference, to, in_transaction, out)?;
    }
    elements::string(out, "$db", &terms.database);
    Ok(())
}

fn append_session(
    terms: &mut Terms,
    to: &Destination<'_>,
    session: &Session,
    state: &mut State,
    given: Given<'_>,
    out: &mut Vec<u8>,
) -> Result<()> {
    let timeout = to.server.logical_session_timeout_minutes.map(minutes);
    let in_transaction = state.transaction.is_active();
    let server_session = state.server_session(session.pool(), timeout)?;
    server_session.last_use = Instant::now();
    elements::nested(out, "lsid", |out| server_session.append_id(out));
    let of_transaction = server_session.transaction_number;
    let lsid = server_session.id();
    match terms.kind {
        CommandKind::EndTransaction { commit } => {
            elements::int64(out, "txnNumber", of_transaction);
            elements::boolean(out, "autocommit", false);
            if let Some(concern) = state.transaction.ending_write_concern(commit) {
                append_write_concern(terms, &concern, out);
            }
            if let Some(token) = &state.transaction.recovery_token {
                elements::document(out, "recoveryToken", token);
            }
        }
        _ if in_transaction => {
            if let Some(journal) = &to.client.settings.journal {
                let statement = journal.statement(&terms.database, given, out);
                let others = terms.kind == CommandKind::KillCursors;
                if !others && journal.marker() != Some(&statement.namespace) {
                    log_statement(journal, to, state, (lsid, of_transaction), statement)?;
                } else if let Some(log) = &state.transaction.log {
                    log.note_other();
                }
            }
            elements::int64(out, "txnNumber", of_transaction);
            if state.transaction.note_sent() {
                elements::boolean(out, "startTransaction", true);
                let concern = state.transaction.options.read_concern.clone().map(Arc::new);
                append_read_concern(session, state, concern.as_ref(), out);
            }
            elements::boolean(out, "autocommit", false);
        }
        // Numbered once, numbered always: without it a server would run a retry as a second write.
        CommandKind::Write { retry: true }
            if terms.transaction_number.is_some()
                || (to.client.settings.retry_writes
                    && to.acknowledged
                    && to.server.supports_retryable_writes()) =>
        {
            let number = *terms.transaction_number.get_or_insert_with(|| {
                server_session.transaction_number += 1;
                server_session.transaction_number
            });
            elements::int64(out, "txnNumber", number);
        }
        _ => {}
    }
    Ok(())
}

/// What the log cannot take is not sent.
fn log_statement(
    journal: &Arc<Journal>,
    to: &Destination<'_>,
    state: &mut State,
    (lsid, number): Key,
    statement: Statement,
) -> Result<()> {
    if let Some(log) = &state.transaction.log {
        return log.note(statement);
    }
    let Options { read_concern, write_concern, .. } = state.transaction.options.clone();
    let session_timeout_minutes = to.server.logical_session_timeout_minutes;
    let begun = Beginning {
        lsid,
        number,
        read_concern,
        write_concern,
        session_timeout_minutes,
        attempt: state.transaction.attempt,
        deployment: to.client.deployment(to.server),
    };
    state.transaction.log = Some(Handle::begin(journal, begun, statement)?);
    Ok(())
}

/// First of all, so that nothing has changed if the command is not sent. A getMore works on the time
/// that its cursor was opened with, or says itself how long it awaits data.
fn append_max_time(
    kind: CommandKind,
    remaining: Duration,
    round_trip: Duration,
    out: &mut Vec<u8>,
) -> Result<()> {
    let Some(limit) = max_time_ms(remaining, round_trip) else {
        return Err(Error::time_limit_exceeded(format!(
            "operation would exceed time limit, remaining timeout:{:.5} <= network round trip time:{:.5}",
            remaining.as_secs_f64(),
            round_trip.as_secs_f64(),
        )));
    };
    if kind != CommandKind::GetMore {
        elements::int64(out, "maxTimeMS", limit);
    }
    Ok(())
}

/// A time limit takes the place of `wtimeout`.
fn append_write_concern(terms: &Terms, concern: &RawDocument, out: &mut Vec<u8>) {
    if !terms.limit.is_set() {
        return elements::document(out, "writeConcern", concern);
    }
    let mut kept = RawDocumentBuf::new();
    for (key, value) in concern.iter().flatten().filter(|(key, _)| key.as_str() != "wtimeout") {
        kept.append(key, value);
    }
    if !kept.is_empty() {
        elements::document(out, "writeConcern", &kept);
    }
}

/// The concern itself, and what the session adds: `afterClusterTime` or `atClusterTime`.
fn append_read_concern(
    session: &Session,
    state: &State,
    concern: Option<&Arc<RawDocumentBuf>>,
    out: &mut Vec<u8>,
) {
    let after = state.operation_time.filter(|_| session.causal_consistency);
    if concern.is_none() && after.is_none() && !session.snapshot {
        return;
    }
    elements::nested(out, "readConcern", |out| {
        if session.snapshot {
            elements::string(out, "level", "snapshot");
            if let Some(time) = state.snapshot_time {
                elements::timestamp(out, "atClusterTime", time);
            }
            return;
        }
        if let Some(concern) = concern {
            elements::all_of(out, concern);
        }
        if let Some(time) = after {
            elements::timestamp(out, "afterClusterTime", time);
        }
    });
}

fn append_read_preference(
    preference: &ReadPreference,
    to: &Destination<'_>,
    in_transaction: bool,
    out: &mut Vec<u8>,
) -> Result<()> {
    let sent = preference.on_the_wire(to.topology, to.server.kind, in_transaction);
    if let Some(preference) = sent {
        let document = preference
            .document()
            .map_err(|error| Error::new(ErrorKind::Configuration, error.to_string()))?;
        elements::document(out, "$readPreference", &document);
    }
    Ok(())
}

fn minutes(count: i64) -> Duration {
    Duration::from_secs(u64::try_from(count).unwrap_or(0).saturating_mul(60))
}

const ORDERED_WRITES: [&str; 10] = [
    "insert",
    "update",
    "delete",
    "findAndModify",
    "bulkWrite",
    "create",
    "createIndexes",
    "drop",
    "dropDatabase",
    "dropIndexes",
];
