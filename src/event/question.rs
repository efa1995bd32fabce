//! What an operation asks the user's code in its middle, such as a `server_selector`.
//!
//! A future never calls Python: it hands its question over with what is to be delivered to listeners, and its driver,
//! which has the interpreter between two polls, calls and answers.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use futures_channel::oneshot;

use super::own;
use crate::error::{Error, Result};
use crate::net::wait;

/// A call to be made, of a type that only the room which makes and answers it knows.
pub type Question = Box<dyn Any + Send>;

/// Code of the user's: is given a `Q` and answers an `A`.
pub struct Callback<Q, A>(Arc<Ask<Q, A>>);

type Ask<Q, A> = dyn Fn(Q, oneshot::Sender<Result<A>>) -> Question + Send + Sync;

impl<Q, A> Callback<Q, A> {
    pub fn new(
        ask: impl Fn(Q, oneshot::Sender<Result<A>>) -> Question + Send + Sync + 'static,
    ) -> Self {
        Callback(Arc::new(ask))
    }

    /// `None` without calling it where no driver can: on the control thread.
    pub async fn ask(&self, about: Q) -> Option<Result<A>> {
        let (answer, answered) = oneshot::channel();
        if !own::ask((self.0)(about, answer)) {
            return None;
        }
        Some(wait::gate(answered).await.unwrap_or_else(|_| Err(Error::forked())))
    }
}

impl<Q, A> Clone for Callback<Q, A> {
    fn clone(&self) -> Self {
        Callback(self.0.clone())
    }
}

impl<Q, A> fmt::Debug for Callback<Q, A> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Callback")
    }
}
