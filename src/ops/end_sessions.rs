//! `endSessions` when a client closes: a courtesy, so its failures are not told.

use std::sync::Arc;

use crate::deadline::TimeLimit;
use crate::exec::client::ClientCore;
use crate::exec::operation::{CommandKind, Operation, Terms};
use crate::exec::run::run;
use crate::exec::select::select_now;
use crate::session::client::Session;
use crate::session::server::append_end_sessions;
use crate::topology::read_preference::{ReadMode, ReadPreference};
use crate::topology::selection::Criteria;
use crate::wire::message::Message;

pub async fn end_sessions(client: &ClientCore, limit: TimeLimit) {
    // Never waits for a server: where none suits there is nobody to tell.
    let preference = Arc::new(ReadPreference::new(ReadMode::PrimaryPreferred));
    let criteria = Criteria::Read(preference.clone());
    let Some(cluster) = client.opened() else { return };
    let Ok(Some(server)) = select_now(cluster, &criteria, &[]).await else { return };
    for ids in client.sessions.drain() {
        let message = Message::from_elements(|out| append_end_sessions(&ids, out));
        let session = Session::implicit(Arc::default());
        let mut terms = Terms::new("admin".into(), CommandKind::Command, session);
        terms.sessionless = true;
        terms.limit = limit;
        terms.server = Some(server.address.clone());
        terms.read_preference = preference.clone();
        let _ = run(client, &mut Operation { message, terms }).await;
    }
}
