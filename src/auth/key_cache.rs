//! SCRAM keys of one client's credentials: made once, shared by its connections.
//!
//! Making them keeps a processor busy for some ten milliseconds, so the work is handed to `start`,
//! which knows a thread for it, and connections that need the same keys wait for the same work.

use std::sync::Arc;

use futures_channel::oneshot;
use futures_util::FutureExt;
use futures_util::future::Shared;
use parking_lot::Mutex;

use super::credentials::Credentials;
use super::scram::{Keys, Recipe};
use crate::error::Result;

/// Cancelled if the work was given up.
pub type Pending = Shared<oneshot::Receiver<Result<Keys>>>;
pub type Work = Box<dyn FnOnce() + Send>;

#[derive(Default)]
pub struct KeyCache {
    known: Mutex<Vec<(Recipe, Pending)>>,
}

impl KeyCache {
    pub fn keys(
        &self,
        recipe: Recipe,
        credentials: &Arc<Credentials>,
        start: impl FnOnce(Work),
    ) -> Pending {
        let mut known = self.known.lock();
        known.retain(|(_, pending)| !matches!(pending.peek(), Some(Err(oneshot::Canceled))));
        if let Some((_, pending)) = known.iter().find(|(of, _)| *of == recipe) {
            return pending.clone();
        }
        let (sender, receiver) = oneshot::channel();
        let pending = receiver.shared();
        if known.len() == MOST_KEPT {
            drop(known.remove(0));
        }
        known.push((recipe.clone(), pending.clone()));
        drop(known);
        let credentials = credentials.clone();
        start(Box::new(move || drop(sender.send(recipe.keys(&credentials)))));
        pending
    }
}

/// A user has one salt for each hash; more only while a password changes, or from hostile servers.
const MOST_KEPT: usize = 4;

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::super::scram::{Hash, Scram};
    use super::*;

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
    fn work_that_was_given_up_is_started_again() {
        let (cache, credentials) = (KeyCache::default(), credentials());
        let pending = cache.keys(recipe("AAAA"), &credentials, drop);
        assert!(matches!(pending.now_or_never(), Some(Err(oneshot::Canceled))));
        let mut works = 0;
        drop(cache.keys(recipe("AAAA"), &credentials, |_| works += 1));
        assert_eq!(works, 1);
    }
}
