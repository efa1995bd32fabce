//! One operation from server selection to its reply, with its retries.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::client::ClientCore;
use super::exchange::exchange;
use super::operation::{CommandKind, Operation, Outcome, Terms};
use super::pin;
use super::retry::{self, Failures};
use super::select::{select, select_address};
use crate::control::cluster::Cluster;
use crate::deadline::{self, Deadline};
use crate::error::{ErrorKind, Result};
use crate::event::selection::{Asker, RetryEvent};
use crate::net::wait;
use crate::pool::server::Server;
use crate::session::transaction_errors::label_statement_error;
use crate::session::turn::Turn;
use crate::topology::address::Address;
use crate::topology::selection::Criteria;
use crate::topology::server::ServerDescription;
use crate::topology::snapshot::TopologyKind;
use crate::wire::reply::Reply;

pub async fn run(client: &ClientCore, operation: &mut Operation) -> Result<Outcome> {
    let cluster = client.cluster(operation.terms.limit.deadline()).await?;
    let _turn = match &operation.terms.session.turns {
        None => None,
        // On the heap, since it is rare, and this future is copied where it is made.
        Some(_) => Box::pin(turn(&operation.terms)).await?,
    };
    let in_transaction = begin(&operation.terms);
    operation.terms.number_for(&client.settings.events);
    let mut failed_at: Vec<Address> = Vec::new();
    let mut failures = Failures::default();
    drop_overruled(client, operation);
    loop {
        let avoided = failed_at.len();
        let attempt = attempt(client, cluster, operation, &mut failed_at, failures.retries()).await;
        let mut error = match attempt {
            Ok(outcome) => {
                if in_transaction {
                    let failed = outcome.reply.as_ref().and_then(Reply::write_error);
                    operation.terms.session.state().transaction.note_run(failed);
                }
                return Ok(outcome);
            }
            Err(error) => error,
        };
        let (terms, settings) = (&operation.terms, &client.settings);
        retry::label(terms, settings, in_transaction, &mut error);
        if in_transaction {
            label_statement_error(&mut error);
        }
        let refused = retry::was_refused(&error);
        let unsent = error.kind() == ErrorKind::DocumentTooLarge;
        // Where dialling failed nothing was noted as sent.
        if (refused || unsent) && !error.is_before_handshake() && !terms.session.implicit {
            terms.session.state().transaction.note_refused();
        }
        terms.session.unpin_after(&error, refused);
        let (now, jitter) = (Instant::now(), fastrand::f64());
        let again = failures.add(error, terms, settings, in_transaction, now, jitter);
        let again = again.map_err(|error| match terms.session.implicit {
            true => error,
            false => terms.session.state().transaction.explain(error),
        })?;
        // A server stays the first choice for a retry, unless it is one of many mongos, or busy and
        // others were asked for.
        let sharded = cluster.snapshot().kind == TopologyKind::Sharded;
        if !(sharded || again.pause.is_some() && settings.overload_retargeting) {
            failed_at.truncate(avoided);
        }
        if let Some(pause) = again.pause {
            wait::sleep(Deadline::after(now, Some(pause))).await;
        }
    }
}

/// The server that an operation would go to now, for callers who need its limits to make their message.
pub async fn destination(client: &ClientCore, terms: &Terms) -> Result<ServerDescription> {
    let cluster = client.cluster(terms.limit.deadline()).await?;
    if terms.session.turns.is_some() {
        terms.session.check_transaction()?;
    }
    let in_transaction = begin(terms);
    // No logger hears of it: the operation will select a server itself.
    let server = choose_server(cluster, terms, None, &[]).await.map_err(|mut error| {
        if in_transaction {
            label_statement_error(&mut error);
        }
        error
    })?;
    let known = cluster.snapshot().server(&server.address).cloned();
    Ok(known.unwrap_or_else(|| ServerDescription::unknown(server.address.clone())))
}

/// Waits until no other operation runs in the session of an `atomic` block. Commit and abort wait for
/// themselves.
async fn turn(terms: &Terms) -> Result<Option<Turn>> {
    let turns = terms.session.turns.as_ref();
    let Some(turns) = turns.filter(|_| !matches!(terms.kind, CommandKind::EndTransaction { .. }))
    else {
        return Ok(None);
    };
    let turn = turns.take(terms.limit.deadline()).await?;
    if terms.kind != CommandKind::KillCursors {
        terms.session.check_transaction()?;
    }
    Ok(Some(turn))
}

/// Whether the operation is a statement of a transaction.
fn begin(terms: &Terms) -> bool {
    match terms.kind {
        CommandKind::EndTransaction { .. } | CommandKind::KillCursors => {
            terms.session.in_transaction()
        }
        _ => terms.session.begin_operation(),
    }
}

/// Takes out of the caller's command what is sent in its place: the client's API version, and what is
/// left of the time limit.
fn drop_overruled(client: &ClientCore, operation: &mut Operation) {
    if operation.terms.limit.is_finite() && operation.terms.kind != CommandKind::GetMore {
        operation.message.remove(|name| name == "maxTimeMS");
    }
    if let Some(api) = &client.settings.server_api {
        operation.message.remove(|name| api.get(name).is_ok_and(|declared| declared.is_some()));
    }
}

async fn attempt(
    client: &ClientCore,
    cluster: &Arc<Cluster>,
    operation: &mut Operation,
    failed_at: &mut Vec<Address>,
    retry: u32,
) -> Result<Outcome> {
    let server =
        choose_server(cluster, &operation.terms, Some(operation.asker()), failed_at).await?;
    let _busy = Busy::at(&server);
    let result = on_server(client, cluster, operation, &server, retry).await;
    if result.is_err() {
        failed_at.push(server.address.clone());
    }
    result
}

async fn choose_server(
    cluster: &Arc<Cluster>,
    terms: &Terms,
    asker: Option<Asker<'_>>,
    failed_at: &[Address],
) -> Result<Arc<Server>> {
    if let Some(address) = pin::address(terms) {
        return select_address(cluster, &address, terms.limit.deadline(), asker).await;
    }
    let criteria = if terms.is_write() {
        Criteria::Writable
    } else {
        let state = terms.session.state();
        match state.transaction.is_active() {
            true => Criteria::Read(state.transaction.read_preference()?.clone()),
            false if terms.kind == CommandKind::Output => {
                Criteria::Output(terms.read_preference.clone())
            }
            false => Criteria::Read(terms.read_preference.clone()),
        }
    };
    select(cluster, &criteria, failed_at, terms.limit.deadline(), asker).await
}

async fn on_server(
    client: &ClientCore,
    cluster: &Arc<Cluster>,
    operation: &mut Operation,
    server: &Arc<Server>,
    retry: u32,
) -> Result<Outcome> {
    let limit = operation.terms.limit;
    let timeouts = || {
        let settings = &client.settings;
        deadline::configured(settings.socket_timeout, settings.connect_timeout, limit)
    };
    let lent = pin::checkout(&operation.terms, server, limit.deadline()).await;
    let mut lent = lent.map_err(|error| error.with_timeouts(timeouts))?;
    if operation.terms.exhaust {
        pin::check_exhaust(&lent)?;
    }
    if retry > 0 {
        client.settings.events.retry(|| RetryEvent {
            operation: operation.message.name().to_owned(),
            operation_id: operation.terms.operation_id,
            attempt: retry,
            write: operation.terms.is_write(),
        });
    }
    let generation = lent.connection().generation;
    let result = exchange(client, cluster, operation, &mut lent).await;
    let result = result.map_err(|error| error.with_timeouts(timeouts));
    if let Err(error) = &result {
        if error.is_network() {
            operation.terms.session.mark_dirty();
        }
        cluster.report(server, generation, error);
    }
    let server = lent.connection().description.clone();
    Ok(Outcome { reply: result?, server, pinned: pin::keep(&operation.terms, lent) })
}

/// Counts an operation for server selection.
struct Busy<'a>(&'a Server);

impl Busy<'_> {
    fn at(server: &Server) -> Busy<'_> {
        server.operations.fetch_add(1, Ordering::Relaxed);
        Busy(server)
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.operations.fetch_sub(1, Ordering::Relaxed);
    }
}
