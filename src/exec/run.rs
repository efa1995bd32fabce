//! One operation from server selection to its reply, with one retry.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::client::ClientCore;
use super::extras::{self, Destination};
use super::operation::{Kind, Operation, Outcome, Terms};
use super::retry;
use super::select::select;
use crate::control::cluster::Cluster;
use crate::deadline::Deadline;
use crate::error::{Error, Kind as ErrorKind, Result};
use crate::net::wait;
use crate::pool::checkout::Checkout;
use crate::pool::server::Server;
use crate::session::transaction;
use crate::topology::address::Address;
use crate::topology::error_rules::{ApplicationError, ErrorKind as Seen, When};
use crate::topology::selection::Criteria;
use crate::wire::reply::Reply;

pub async fn run(client: &ClientCore, operation: &mut Operation) -> Result<Outcome> {
    let cluster = client.cluster()?;
    let in_transaction = operation.terms.session.in_transaction();
    let mut failed_at: Vec<Address> = Vec::new();
    let mut first: Option<Error> = None;
    loop {
        let attempt = attempt(client, cluster, operation, &mut failed_at).await;
        let mut error = match attempt {
            Ok(outcome) => return Ok(outcome),
            Err(error) => error,
        };
        let terms = &operation.terms;
        retry::label(terms, &client.settings, in_transaction, &mut error);
        if in_transaction {
            transaction::label_statement_error(&mut error);
        }
        if let Some(first) = first {
            return Err(retry::choose(first, error));
        }
        if !retry::may_retry(terms, &client.settings, in_transaction, &error) {
            return Err(error);
        }
        first = Some(error);
    }
}

async fn attempt(
    client: &ClientCore,
    cluster: &Arc<Cluster>,
    operation: &mut Operation,
    failed_at: &mut Vec<Address>,
) -> Result<Outcome> {
    let server = choose_server(cluster, &operation.terms, failed_at).await?;
    let _busy = Busy::at(&server);
    let result = on_server(client, cluster, operation, &server).await;
    if result.is_err() {
        failed_at.push(server.address.clone());
    }
    result
}

async fn choose_server(
    cluster: &Arc<Cluster>,
    terms: &Terms,
    failed_at: &[Address],
) -> Result<Arc<Server>> {
    if let Some(address) = &terms.server {
        return cluster.server(address).ok_or_else(|| {
            Error::new(ErrorKind::Network, format!("{address} is no longer part of the deployment"))
        });
    }
    let criteria = if terms.is_write() {
        Criteria::Writable
    } else {
        let state = terms.session.state();
        match state.transaction.is_active() {
            true => Criteria::Read(state.transaction.read_preference()?.clone()),
            false => Criteria::Read((*terms.read_preference).clone()),
        }
    };
    select(cluster, &criteria, failed_at).await
}

async fn on_server(
    client: &ClientCore,
    cluster: &Arc<Cluster>,
    operation: &mut Operation,
    server: &Arc<Server>,
) -> Result<Outcome> {
    let generation = server.generation();
    let pool = server.pool(wait::current_lane().as_ref());
    let mut lent = match pool.checkout(Deadline::NEVER).await {
        Ok(lent) => lent,
        Err(error) => {
            report(cluster, server, generation, &error);
            return Err(error);
        }
    };
    let generation = lent.connection().generation;
    let result = exchange(client, cluster, operation, &mut lent).await;
    if let Err(error) = &result {
        if error.is_network() {
            operation.terms.session.mark_dirty();
        }
        report(cluster, server, generation, error);
    }
    let server = lent.connection().description.clone();
    Ok(Outcome { reply: result?, server })
}

async fn exchange(
    client: &ClientCore,
    cluster: &Arc<Cluster>,
    operation: &mut Operation,
    lent: &mut Checkout,
) -> Result<Option<Reply>> {
    let topology = cluster.snapshot().kind;
    let timeout = client.settings.socket_timeout;
    let deadline = timeout.map_or(Deadline::NEVER, |_| Deadline::after(Instant::now(), timeout));
    let Operation { message, terms } = operation;
    let acknowledged = message.expects_reply();
    let connection = lent.connection_mut();
    let description = connection.description.clone();
    let reply = connection
        .exchange(message, deadline, |out| {
            let to = Destination { client, topology, server: &description, acknowledged };
            extras::append(terms, &to, out)
        })
        .await?;
    let Some(mut reply) = reply else { return Ok(None) };
    let mut checked = reply.check();
    if checked.as_ref().is_err_and(Error::wants_reauthentication) {
        reauthenticate(client, lent).await?;
        // The same bytes: a transaction that begins with them has not begun yet.
        let again = lent.connection_mut().exchange_sealed(message, deadline).await?;
        reply = again.ok_or_else(|| Error::protocol("an answer was expected"))?;
        checked = reply.check();
    }
    if checked.as_ref().is_err_and(Error::is_nonsense) {
        lent.connection_mut().distrust();
    }
    hear(client, terms, &reply);
    checked.map(|()| Some(reply))
}

async fn reauthenticate(client: &ClientCore, lent: &mut Checkout) -> Result<()> {
    let dialer = lent.server().dialer.clone();
    let Some(authenticator) = &dialer.authenticator else { return Ok(()) };
    let deadline = Deadline::after(Instant::now(), client.settings.connect_timeout);
    authenticator.repeat(lent.connection_mut(), deadline).await
}

/// Times travel with every reply, failed ones included.
fn hear(client: &ClientCore, terms: &Terms, reply: &Reply) {
    if let Some(time) = reply.cluster_time() {
        client.hear_cluster_time(time);
        if !terms.session.implicit {
            terms.session.advance_cluster_time(time);
        }
    }
    if let Some(time) = reply.operation_time
        && !terms.session.implicit
    {
        terms.session.advance_operation_time(time);
        if terms.session.snapshot && matches!(terms.kind, Kind::Read { .. }) {
            terms.session.state().note_snapshot_time(reply.body());
        }
    }
}

/// Tells the topology what the operation saw; its rules decide what that means.
fn report(cluster: &Arc<Cluster>, server: &Arc<Server>, generation: u64, error: &Error) {
    let kind = match error.kind() {
        ErrorKind::Network => Seen::Network,
        // Later it says nothing about other connections.
        _ if error.is_nonsense() && error.is_before_handshake() => Seen::Network,
        ErrorKind::NetworkTimeout => Seen::Timeout,
        ErrorKind::Command { .. } => {
            match error.reply().map(|reply| Seen::from_reply(reply)) {
                Some(Some(seen)) => seen,
                Some(None) => return,
                // Not the server's words: its part of an authentication did not hold.
                None => Seen::Command { code: None, topology_version: None },
            }
        }
        _ => return,
    };
    let when = match error.is_before_handshake() {
        true => When::BeforeHandshake,
        false => When::AfterHandshake,
    };
    let error = ApplicationError {
        when,
        kind,
        generation,
        current_generation: server.generation(),
        overloaded: error.has_label("SystemOverloadedError"),
        message: error.message().to_owned(),
    };
    cluster.report(&server.address, &error);
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
