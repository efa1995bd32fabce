//! A collection as the store of a transaction log.

use std::sync::Arc;
use std::time::Instant;

use bson::RawDocument;

use crate::control::driver;
use crate::deadline::TimeLimit;
use crate::error::{Error, ErrorKind, Result};
use crate::exec::client::ClientCore;
use crate::exec::operation::{CommandKind, Operation, Terms};
use crate::exec::run::run;
use crate::journal::entry::{self, Key};
use crate::journal::keeper::{Keeper, Putting};
use crate::session::client::Session;
use crate::wire::elements;
use crate::wire::message::Message;

pub struct LogCollection {
    pub client: Arc<ClientCore>,
    pub database: Arc<str>,
    pub collection: Arc<str>,
}

impl Keeper for LogCollection {
    fn put(&self, key: Key, entry: Vec<u8>, limit: TimeLimit) -> Putting<'_> {
        Box::pin(async move {
            let put = self.replace(key, &entry, limit).await;
            put.map_err(|error| {
                let text = format!(
                    "the transaction log {}.{} cannot be written: {error}",
                    self.database, self.collection
                );
                Error::new(ErrorKind::TransactionLog, text).because_of(error)
            })
        })
    }

    fn put_later(&self, key: Key, entry: Vec<u8>) {
        // A selector is the user's Python code: it must not run on the control thread.
        let Some(cluster) = self.client.opened() else { return };
        if cluster.settings.server_selector.is_some() {
            return;
        }
        let own = LogCollection {
            client: self.client.clone(),
            database: self.database.clone(),
            collection: self.collection.clone(),
        };
        cluster.spawn(async move {
            let limit = TimeLimit::after(Instant::now(), LATE_ENTRY);
            let _ = driver::run_on_tokio(own.replace(key, &entry, limit)).await;
        });
    }
}

impl LogCollection {
    /// Outside of any session: it has nothing to do with the transaction.
    async fn replace(&self, key: Key, entry: &[u8], limit: TimeLimit) -> Result<()> {
        let entry = RawDocument::from_bytes(entry)
            .map_err(|error| Error::invalid_operation(error.to_string()))?;
        let id =
            |out: &mut Vec<u8>| elements::nested(out, "_id", |out| entry::append_key(key, out));
        let message = Message::from_elements(|out| {
            elements::string(out, "update", &self.collection);
            elements::array_of_documents(out, "updates", &[entry], |entry, out| {
                elements::nested(out, "q", id);
                elements::nested(out, "u", |out| {
                    id(out);
                    elements::all_of(out, entry);
                });
                elements::boolean(out, "upsert", true);
            });
        });
        let session = Session::implicit(self.client.sessions.clone());
        let terms = Terms {
            write_concern: Some(Arc::new(bson::rawdoc! { "w": "majority" })),
            limit,
            ..Terms::new(self.database.clone(), CommandKind::Write { retry: true }, session)
        };
        let outcome = run(&self.client, &mut Operation { message, terms }).await?;
        let reply = outcome.into_reply()?;
        reply.check_write_concern()?;
        reply.write_error().map_or(Ok(()), Err)
    }
}

const LATE_ENTRY: std::time::Duration = std::time::Duration::from_secs(10);
