//! `killCursors`: a courtesy to the server, whose own time limit is the safety net.

use std::sync::Arc;

use crate::control::driver;
use crate::deadline::TimeLimit;
use crate::error::{Error, Result};
use crate::exec::client::ClientCore;
use crate::exec::operation::{Kind, Operation, Terms};
use crate::exec::run::run;
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
}

/// An error after which the server's cursor still waits to be read: the server answered, and did not
/// say that the cursor has gone.
pub fn leaves_it_open(error: &Error) -> bool {
    !error.is_state_change() && error.code().is_some_and(|code| !GONE.contains(&code))
}

pub async fn kill(client: &ClientCore, held: Held, limit: TimeLimit) -> Result<()> {
    let message = Message::from_elements(|out| {
        elements::string(out, "killCursors", &held.collection);
        elements::array_of_int64(out, "cursors", &[held.id]);
    });
    let mut terms = Terms::new(held.database, Kind::Command, held.session);
    terms.server = Some(held.address);
    terms.limit = limit;
    run(client, &mut Operation { message, terms }).await.map(drop)
}

/// For a cursor that was dropped: never blocks, the control thread does it.
pub fn kill_later(client: Arc<ClientCore>, mut held: Held) {
    if client.is_closed() {
        return;
    }
    if !held.session.implicit {
        // Its owner may be about to begin a transaction, which this must not become part of.
        held.session = Session::implicit(client.sessions.clone());
    }
    if let Some(cluster) = client.opened().cloned() {
        cluster.spawn(async move {
            let _ = driver::drive(kill(&client, held, TimeLimit::Unset)).await;
        });
    }
}

/// CursorNotFound, QueryPlanKilled, CursorKilled, CappedPositionLost, and its older number.
const GONE: [i32; 5] = [43, 175, 237, 136, 28617];
