//! The cursor of the results of one batch of a client's bulk write: read to its end, and killed if that is not
//! reached.

use std::sync::Arc;

use bson::RawDocument;

use crate::error::Result;
use crate::exec::client::ClientCore;
use crate::exec::operation::{CommandKind, Operation, Outcome, Terms};
use crate::exec::run::run;
use crate::ops::cursor::batch::Batch;
use crate::ops::cursor::close::{self, Held};
use crate::ops::cursor::get_more;
use crate::pool::pinned::Pinned;
use crate::topology::address::Address;
use crate::wire::elements;
use crate::wire::message::Message;

pub(super) struct Results {
    core: Arc<ClientCore>,
    terms: Terms,
    /// The element that every getMore repeats.
    comment: Vec<u8>,
    /// While the server has more.
    open: Option<Held>,
}

impl Results {
    /// The element of the command, if it has one.
    pub fn comment_of(command: &Message) -> Vec<u8> {
        let comment = RawDocument::from_bytes(command.body()).ok().and_then(|body| {
            let element = elements::find(body, |name| name == "comment")?;
            Some(body.as_bytes()[element].to_vec())
        });
        comment.unwrap_or_default()
    }

    /// The results that follow `first`, the batch in the reply. `terms` are those of the command; `place`: the
    /// server that answered, and the connection that the cursor keeps.
    pub fn new(
        core: &Arc<ClientCore>,
        terms: &Terms,
        comment: Vec<u8>,
        first: &Batch,
        place: (&Address, Option<Arc<Pinned>>),
    ) -> Results {
        let (_, collection) = first.place((&terms.database, "$cmd.bulkWrite"));
        let open = (first.cursor_id != 0).then(|| Held {
            id: first.cursor_id,
            database: terms.database.clone(),
            collection: collection.to_owned(),
            address: place.0.clone(),
            session: terms.session.clone(),
            pinned: place.1,
        });
        let terms = Terms { kind: CommandKind::GetMore, opens_cursor: false, ..terms.clone() };
        Results { core: core.clone(), terms, comment, open }
    }

    pub async fn next(&mut self) -> Result<Option<Batch>> {
        let Some(held) = &self.open else { return Ok(None) };
        let message = get_more::message(held.id, &held.collection, 0, &self.comment);
        let (server, pinned) = (Some(held.address.clone()), held.pinned.clone());
        let terms = Terms { server, pinned, ..self.terms.clone() };
        let outcome = run(&self.core, &mut Operation { message, terms }).await;
        match outcome.and_then(Outcome::into_reply).and_then(Batch::of) {
            Ok(batch) => {
                self.open.take_if(|_| batch.cursor_id == 0);
                Ok(Some(batch))
            }
            Err(error) => {
                self.open.take_if(|_| !close::leaves_it_open(&error) && !error.is_nonsense());
                if !error.is_timeout() {
                    self.close().await;
                }
                Err(error)
            }
        }
    }

    /// Before the error is told, if the server can be reached.
    async fn close(&mut self) {
        let Some(held) = self.open.clone() else { return };
        if close::kill(&self.core, held, self.terms.limit).await.is_ok() {
            self.open = None;
        }
    }
}

/// Where it was not closed before, and when a call is cancelled in the middle.
impl Drop for Results {
    fn drop(&mut self) {
        if let Some(held) = self.open.take() {
            close::kill_later(self.core.clone(), held);
        }
    }
}
