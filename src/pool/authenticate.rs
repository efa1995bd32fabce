//! Carries `auth`'s conversations over a connection.

use std::sync::Arc;

use super::connection::Connection;
use crate::auth::conversation::{Conversation, Next};
use crate::auth::credentials::Credentials;
use crate::auth::key_cache::{KeyCache, Work};
use crate::auth::opening::Opening;
use crate::auth::scram::Entropy;
use crate::auth::scram_keys::{Keys, Recipe};
use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind, Result};
use crate::event::Publisher;
use crate::net::wait;

pub struct Authenticator {
    credentials: Arc<Credentials>,
    events: Publisher,
    keys: KeyCache,
    /// Runs what takes long where no event loop waits for it.
    work_elsewhere: WorkElsewhere,
}

pub type WorkElsewhere = Box<dyn Fn(Work) + Send + Sync>;

impl Authenticator {
    pub fn new(
        credentials: Arc<Credentials>,
        events: Publisher,
        work_elsewhere: WorkElsewhere,
    ) -> Authenticator {
        Authenticator { credentials, events, keys: KeyCache::default(), work_elsewhere }
    }

    pub fn opening(&self) -> Result<Opening> {
        Ok(Opening::new(self.credentials.clone(), &entropy()?))
    }

    pub async fn converse(
        &self,
        connection: &mut Connection,
        mut conversation: Conversation,
        mut next: Next,
    ) -> Result<()> {
        loop {
            next = match next {
                Next::Done => break,
                Next::Derive(recipe) => conversation.derived(self.keys(recipe).await?),
                Next::Send(mut message) => {
                    let source = &self.credentials.source;
                    let reply = connection.command(&mut message, source, &self.events).await?;
                    conversation.heard(reply.body())?
                }
            };
        }
        connection.mechanism = Some(conversation.mechanism);
        Ok(())
    }

    /// Once more, by the mechanism that a connection used before.
    pub async fn repeat(&self, connection: &mut Connection, deadline: Deadline) -> Result<()> {
        let Some(mechanism) = connection.mechanism else { return Ok(()) };
        let conversation = Conversation::new(self.credentials.clone(), mechanism, &entropy()?);
        let first = conversation.first();
        let repeated = wait::until(deadline, self.converse(connection, conversation, first)).await;
        repeated.unwrap_or_else(|| {
            let error = Error::new(ErrorKind::NetworkTimeout, "timed out while authenticating");
            Err(error.at(connection.address()))
        })
    }

    async fn keys(&self, recipe: Recipe) -> Result<Keys> {
        let keys = self.keys.keys(recipe, &self.credentials, &self.work_elsewhere);
        let closed = |_| Error::invalid_operation("the client was closed while it authenticated");
        wait::gate(keys).await.map_err(closed)?
    }
}

pub fn entropy() -> Result<Entropy> {
    let mut entropy = Entropy::default();
    getrandom::fill(&mut entropy).map_err(|error| {
        Error::new(ErrorKind::InvalidOperation, format!("no randomness: {error}"))
    })?;
    Ok(entropy)
}
