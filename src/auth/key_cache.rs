//! SCRAM keys of one client's credentials: made once, shared by its connections.
//!
//! Making them keeps a processor busy for some ten milliseconds, so the work is handed to `start`,
//! which runs it on a thread, and connections that need the same keys wait for the same work. Once
//! none waits any more (timed out, cancelled, closed) the work ends early: the server chooses how long
//! it takes, and a hostile one may choose minutes.

use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};

use futures_channel::oneshot;
use futures_util::FutureExt;
use futures_util::future::Shared;

use super::credentials::Credentials;
use super::scram_keys::{Keys, Recipe};
use crate::error::Result;
use crate::sync::Mutex;

type Outcome = Shared<oneshot::Receiver<Result<Keys>>>;
pub type Work = Box<dyn FnOnce() + Send>;

/// Keys that are being derived. The work continues while one of these exists.
#[derive(Clone)]
pub struct Pending {
    outcome: Outcome,
    _wanted: Arc<()>,
}

impl Future for Pending {
    /// Cancelled if the work was given up.
    type Output = std::result::Result<Result<Keys>, oneshot::Canceled>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.outcome.poll_unpin(context)
    }
}

struct Known {
    recipe: Recipe,
    outcome: Outcome,
    wanted: Weak<()>,
}

impl Known {
    /// `None` if the work was given up, or is about to be.
    fn pending(&self) -> Option<Pending> {
        // Polled, as it may be done and not polled yet.
        let wanted = match self.outcome.clone().now_or_never() {
            Some(Ok(_)) => Some(Arc::default()),
            Some(Err(oneshot::Canceled)) => None,
            None => self.wanted.upgrade(),
        };
        wanted.map(|_wanted| Pending { outcome: self.outcome.clone(), _wanted })
    }
}

#[derive(Default)]
pub struct KeyCache {
    known: Mutex<Vec<Known>>,
}

impl KeyCache {
    pub fn keys(
        &self,
        recipe: Recipe,
        credentials: &Arc<Credentials>,
        start: impl FnOnce(Work),
    ) -> Pending {
        let mut known = self.known.lock();
        known.retain(|known| known.pending().is_some());
        let same = known.iter().filter(|known| known.recipe == recipe);
        if let Some(pending) = same.filter_map(Known::pending).next() {
            return pending;
        }
        let (sender, receiver) = oneshot::channel();
        let (outcome, _wanted) = (receiver.shared(), Arc::new(()));
        let wanted = Arc::downgrade(&_wanted);
        if known.len() == MOST_KEPT {
            drop(known.remove(0));
        }
        let (of, entry) = (recipe.clone(), outcome.clone());
        known.push(Known { recipe: of, outcome: entry, wanted: wanted.clone() });
        drop(known);
        let credentials = credentials.clone();
        start(Box::new(move || {
            if let Some(keys) = recipe.keys(&credentials, || wanted.strong_count() > 0) {
                let _ = sender.send(keys); // there may be no receiver any more
            }
        }));
        Pending { outcome, _wanted }
    }
}

/// A user has one salt for each hash; more only while a password changes, or from hostile servers.
const MOST_KEPT: usize = 4;

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;
    use crate::auth::scram::Scram;
    use crate::auth::scram_keys::Hash;

    fn recipe(salt: &str) -> Recipe {
        let mut scram = Scram::new(Hash::Sha256, "user", &[0; 24]);
        let nonce = scram.client_first().rsplit_once("r=").unwrap().1.to_owned();
        scram.server_first(format!("r={nonce}x,s={salt},i=4096").as_bytes()).unwrap()
    }

    fn credentials() -> Arc<Credentials> {
        Arc::new(Credentials {
            mechanism: None,
            source: "admin".to_owned(),
            user: Some("user".to_owned()),
            password: "pencil".to_owned().into(),
        })
    }

    #[test]
    fn many_who_need_the_same_keys_cause_one_piece_of_work() {
        let (cache, credentials) = (KeyCache::default(), credentials());
        let mut works = Vec::new();
        let waiting: Vec<Pending> = (0..50)
            .map(|_| cache.keys(recipe("AAAA"), &credentials, |work| works.push(work)))
            .collect();
        assert_eq!(works.len(), 1);
        assert!(waiting[0].clone().now_or_never().is_none());
        works.pop().unwrap()();
        for pending in waiting {
            assert!(pending.now_or_never().unwrap().unwrap().is_ok());
        }
        let later = cache.keys(recipe("AAAA"), &credentials, |_| panic!("they are known"));
        assert!(later.now_or_never().is_some());
    }

    #[test]
    fn other_salts_need_other_keys_and_few_are_kept() {
        let (cache, credentials) = (KeyCache::default(), credentials());
        let mut works = 0;
        for salt in ["AAAA", "BBBB", "AAAA", "CCCC", "DDDD", "EEEE", "AAAA"] {
            drop(cache.keys(recipe(salt), &credentials, |work| {
                works += 1;
                work();
            }));
        }
        assert_eq!(works, 6); // the third is known, the last is known no more
        assert_eq!(cache.known.lock().len(), MOST_KEPT);
    }

    #[test]
    fn abandoned_work_ends_and_starts_again_for_the_next_connection() {
        let (cache, credentials) = (KeyCache::default(), credentials());
        let mut endless = recipe("AAAA");
        endless.iterations = u32::MAX;
        let mut works = Vec::new();
        let first = cache.keys(endless.clone(), &credentials, |work| works.push(work));
        let second = cache.keys(endless.clone(), &credentials, |_| panic!("it is under way"));
        drop((first, second));
        works.pop().unwrap()(); // returns
        let third = cache.keys(endless, &credentials, |work| works.push(work));
        assert_eq!(works.len(), 1);
        drop(works);
        assert!(matches!(third.now_or_never(), Some(Err(oneshot::Canceled))));
    }

    #[test]
    fn work_that_was_given_up_is_started_again() {
        let (cache, credentials) = (KeyCache::default(), credentials());
        let pending = cache.keys(recipe("AAAA"), &credentials, drop);
        assert!(matches!(pending.now_or_never(), Some(Err(oneshot::Canceled))));
        let mut works = 0;
        drop(cache.keys(recipe("AAAA"), &credentials, |_| works += 1));
        assert_eq!(works, 1);
    }
}
