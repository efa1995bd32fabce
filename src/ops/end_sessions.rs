//! `endSessions` when a client closes: a courtesy, so its failures are not told.

use std::sync::Arc;

use crate::deadline::TimeLimit;
use crate::exec::client::ClientCore;
use crate::exec::operation::{Kind, Operation, Terms};
use crate::exec::run::run;
use crate::session::client::Session;
use crate::session::server::append_end_sessions;
use crate::topology::read_preference::{ReadMode, ReadPreference};
use crate::wire::message::Message;

pub async fn end_sessions(client: &ClientCore, limit: TimeLimit) {
    // Never waits for a server: where none is known there is nobody to tell.
    let reachable = client.opened().is_some_and(|cluster| cluster.snapshot().has_readable());
    if !reachable {
        return;
    }
    for ids in client.sessions.drain() {
        let message = Message::from_elements(|out| append_end_sessions(&ids, out));
        let session = Session::implicit(Arc::default());
        let mut terms = Terms::new("admin".into(), Kind::Command, session);
        terms.sessionless = true;
        terms.limit = limit;
        terms.read_preference = Arc::new(ReadPreference::new(ReadMode::PrimaryPreferred));
        let _ = run(client, &mut Operation { message, terms }).await;
    }
}
