//! `killCursors`: a courtesy to the server, whose own time limit is the safety net.

use std::pin::pin;
use std::sync::Arc;
use std::task::Waker;

use crate::control::driver;
use crate::deadline::TimeLimit;
use crate::error::{Error, Result};
use crate::exec::client::ClientCore;
use crate::exec::operation::{CommandKind, Operation, Terms};
use crate::exec::run::run;
use crate::net::wait::{self, WaitSet};
use crate::pool::pinned::Pinned;
use crate::session::client::Session;
use crate::topology::address::Address;
use crate::wire::elements;
use crate::wire::message::Message;

/// A server cursor that this client still has to read or close.
#[derive(Clone)]
pub struct Held {
    pub id: i64,
    pub database: Arc<str>,
    pub collection: String,
    pub address: Address,
    pub session: Arc<Session>,
    /// The connection that leads to it behind a load balancer, or that an exhaust cursor streams over.
    pub pinned: Option<Arc<Pinned>>,
}

impl Held {
    fn goes_on(&self) -> bool {
        self.pinned.as_ref().is_some_and(|pinned| pinned.goes_on())
    }
}

/// An error after which the server's cursor still waits to be read: the server answered, and did not
/// say that the cursor has gone.
pub fn leaves_it_open(error: &Error) -> bool {
    !error.is_state_change() && error.code().is_some_and(|code| !GONE.contains(&code))
}

pub fn says_it_has_gone(error: &Error) -> bool {
    error.code().is_some_and(|code| GONE.contains(&code))
}

/// Never waits for a server that does not answer.
pub async fn kill(client: &ClientCore, held: Held, limit: TimeLimit) -> Result<()> {
    if held.goes_on() {
        return Ok(()); // letting go of its connection ends it
    }
    let reachable = client.opened().is_some_and(|cluster| {
        cluster.snapshot().server(&held.address).is_some_and(|server| server.kind.is_known())
    });
    if !reachable {
        return Ok(());
    }
    run(client, &mut operation(held, limit)).await.map(drop)
}

/// If it cannot be done in time, it is done later.
pub async fn kill_now_or_later(client: Arc<ClientCore>, held: Held, limit: TimeLimit) {
    if kill(&client, held.clone(), limit).await.is_err() {
        kill_later(client, held);
    }
}

/// For a cursor that was dropped: never blocks.
pub fn kill_later(client: Arc<ClientCore>, mut held: Held) {
    if client.is_closed() || held.goes_on() {
        return;
    }
    if !held.session.implicit {
        // Its owner may be about to begin a transaction, which this must not become part of.
        held.session = Session::implicit(client.sessions.clone());
    }
    match &held.pinned {
        Some(pinned) if pinned.is_home() => return kill_unanswered(&client, held),
        Some(_closed) => return, // nothing leads there: the server's time limit ends the cursor
        None => {}
    }
    if let Some(cluster) = client.opened().cloned() {
        cluster.spawn(async move {
            driver::run_on_tokio(client.settings.events.room()).await;
            let _ = driver::run_on_tokio(kill(&client, held, TimeLimit::Unset)).await;
        });
    }
}

/// Only the cursor's own connection leads to it, and that one may live in an event loop, where nobody is
/// left to wait for an answer: so none is asked for. What can't be sent at once closes the connection.
fn kill_unanswered(client: &ClientCore, held: Held) {
    let lane = held.pinned.as_ref().and_then(|pinned| pinned.lane()).cloned();
    let Operation { message, terms } = operation(held, TimeLimit::Unset);
    let mut operation = Operation { message: message.without_reply(), terms };
    let mut set = WaitSet { lane, ..WaitSet::default() };
    let _ = wait::poll(&mut set, Waker::noop(), pin!(run(client, &mut operation)));
}

fn operation(held: Held, limit: TimeLimit) -> Operation {
    let message = Message::from_elements(|out| {
        elements::string(out, "killCursors", &held.collection);
        elements::array_of_int64(out, "cursors", &[held.id]);
    });
    let mut terms = Terms::new(held.database, CommandKind::KillCursors, held.session);
    terms.server = Some(held.address);
    terms.pinned = held.pinned;
    terms.limit = limit;
    Operation { message, terms }
}

/// CursorNotFound, QueryPlanKilled, CursorKilled, CappedPositionLost, and its older numbers.
const GONE: [i32; 7] = [43, 175, 237, 136, 96, 17406, 28617];
