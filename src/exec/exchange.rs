//! One message and its reply, over a connection that was checked out: what depends on the attempt is added, and
//! what the reply says of times and tokens is kept.

use std::sync::Arc;
use std::time::Instant;

use super::client::ClientCore;
use super::extras::{self, Destination};
use super::operation::{CommandKind, Operation, Terms};
use super::size;
use crate::control::cluster::Cluster;
use crate::deadline::Deadline;
use crate::error::{Error, Result};
use crate::pool::pinned::Loan;
use crate::session::client::Session;
use crate::wire::reply::Reply;

pub async fn exchange(
    client: &ClientCore,
    cluster: &Arc<Cluster>,
    operation: &mut Operation,
    lent: &mut Loan,
) -> Result<Option<Reply>> {
    let (limit, timeout) = (operation.terms.limit, client.settings.socket_timeout);
    let deadline = match (limit.is_finite(), timeout) {
        (false, None) => Deadline::NEVER,
        _ => limit.or_after(Instant::now(), timeout),
    };
    seal(client, cluster, operation, lent)?;
    let Some((mut reply, mut checked)) = ask(client, operation, lent, deadline).await? else {
        return Ok(None);
    };
    if checked.as_ref().is_err_and(Error::wants_reauthentication) {
        // On the heap, since it is rare and large, and this future is copied where it is made.
        (reply, checked) = Box::pin(again(client, operation, lent, deadline)).await?;
    }
    if checked.as_ref().is_err_and(Error::is_nonsense) {
        lent.connection_mut().distrust();
    }
    hear(client, &operation.terms, &reply);
    checked.map(|()| Some(reply))
}

/// Sends the message as it is. The reply, and what it says of success; None if the server does not reply to it.
async fn ask(
    client: &ClientCore,
    operation: &Operation,
    lent: &mut Loan,
    deadline: Deadline,
) -> Result<Option<(Reply, Result<()>)>> {
    let Operation { message, terms } = operation;
    let connection = lent.connection_mut();
    let watch =
        connection.watch(&client.settings.events, message, &terms.database, terms.operation_id);
    let unanswered = Unanswered(&terms.session);
    let answer = connection.ask(message, deadline, watch, terms.allowed.as_deref()).await;
    std::mem::forget(unanswered);
    answer
}

/// Adds what depends on the attempt to the message.
fn seal(
    client: &ClientCore,
    cluster: &Cluster,
    operation: &mut Operation,
    lent: &mut Loan,
) -> Result<()> {
    let (topology, min_round_trip) = {
        let snapshot = cluster.snapshot();
        let server =
            operation.terms.limit.is_finite().then(|| snapshot.server(&lent.server().address));
        let known = server.flatten().map(|server| server.min_round_trip_time);
        if operation.terms.kind == CommandKind::Output {
            // What selection went by is what the server is told.
            let preference = operation.terms.read_preference.with_output_stage(&snapshot);
            operation.terms.read_preference = Arc::new(preference);
        }
        (snapshot.kind, known.unwrap_or_default())
    };
    let Operation { message, terms } = operation;
    let connection = lent.connection_mut();
    let description = connection.description.clone();
    let to = Destination {
        client,
        topology,
        server: &description,
        min_round_trip,
        acknowledged: message.expects_reply(),
        ordered_write: extras::is_ordered(terms, message.name()),
    };
    connection.seal(message, |out, given| extras::append(terms, &to, given, out))?;
    size::check(message, description.max_bson_object_size)
}

/// The same bytes after another authentication: a transaction that begins with them has not begun yet.
async fn again(
    client: &ClientCore,
    operation: &Operation,
    lent: &mut Loan,
    deadline: Deadline,
) -> Result<(Reply, Result<()>)> {
    reauthenticate(client, lent, operation.terms.limit.deadline()).await?;
    let answer = ask(client, operation, lent, deadline).await?;
    answer.ok_or_else(|| Error::protocol("an answer was expected"))
}

async fn reauthenticate(client: &ClientCore, lent: &mut Loan, limit: Deadline) -> Result<()> {
    let dialer = lent.server().dialer.clone();
    let Some(authenticator) = &dialer.authenticator else { return Ok(()) };
    let own = Deadline::after(Instant::now(), client.settings.connect_timeout);
    let repeated = authenticator.repeat(lent.connection_mut(), own.earlier(limit)).await;
    if repeated.is_err() {
        // The server may have failed to prove its identity: the connection must not be used again.
        lent.connection_mut().distrust();
    }
    repeated
}

/// Times travel with every reply, failed ones included.
fn hear(client: &ClientCore, terms: &Terms, reply: &Reply) {
    if let Some(time) = reply.cluster_time() {
        client.hear_cluster_time(time);
        if !terms.session.implicit {
            terms.session.advance_cluster_time(time);
        }
    }
    if !terms.session.implicit {
        terms.session.hear_recovery_token(reply.body());
    }
    if let Some(time) = reply.operation_time
        && !terms.session.implicit
    {
        terms.session.advance_operation_time(time);
        if terms.session.snapshot && matches!(terms.kind, CommandKind::Read { .. }) {
            terms.session.state().note_snapshot_time(reply.body());
        }
    }
}

/// Dropped midway: the server may still run the command, so its session is not for others.
struct Unanswered<'a>(&'a Session);

impl Drop for Unanswered<'_> {
    fn drop(&mut self) {
        self.0.mark_dirty();
        if self.0.turns.is_some() {
            self.0.state().transaction.note_cut();
        }
    }
}
