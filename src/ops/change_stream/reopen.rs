//! A lost cursor's successor: what is left of the old one is closed first.

use std::sync::Arc;

use crate::error::Result;
use crate::exec::client::ClientCore;
use crate::exec::operation::{Operation, Outcome};
use crate::exec::run::run;
use crate::ops::cursor::close::{self, Held};

/// `operation` is the `aggregate` that goes on. Whether the old cursor could be closed does not matter
/// to it; if only the time ran out, that is done later.
pub async fn reopen(
    client: Arc<ClientCore>,
    mut operation: Operation,
    left: Option<Held>,
) -> Result<Outcome> {
    if let Some(held) = left {
        let killed = close::kill(&client, held.clone(), operation.terms.limit).await;
        if killed.is_err_and(|error| error.is_timeout()) {
            close::kill_later(client.clone(), held);
        }
    }
    run(&client, &mut operation).await
}
