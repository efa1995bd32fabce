//! What downloads and uploads are called with, and waited for.

use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use ferromongo::exec::client::ClientCore;
use ferromongo::exec::operation::{CommandKind, Terms};
use ferromongo::session::client::Session;

pub fn explicit(client: &Arc<ClientCore>, kind: CommandKind) -> Terms {
    let session = Session::explicit(client.sessions.clone(), true, false);
    Terms::new("db".into(), kind, session)
}

/// Waits for what another thread is about to do.
pub fn eventually(happened: impl Fn() -> bool) {
    let begun = Instant::now();
    while !happened() {
        assert!(begun.elapsed() < Duration::from_secs(20), "it never happened");
        sleep(Duration::from_millis(1));
    }
}
