//! Server sessions and their pool, as the sessions specification has it. Decides; `now` is passed in.

use std::time::{Duration, Instant};

use bson::Uuid;

use crate::sync::Mutex;
use crate::wire::elements;

#[derive(Debug)]
pub struct ServerSession {
    id: Uuid,
    pub last_use: Instant,
    pub transaction_number: i64,
    /// A network error happened while it was in use: the server may still run something for it.
    pub dirty: bool,
}

impl ServerSession {
    pub fn new(now: Instant) -> ServerSession {
        ServerSession { id: Uuid::new(), last_use: now, transaction_number: 0, dirty: false }
    }

    /// One of another process. It is not for others afterwards.
    pub fn recovered(id: Uuid, transaction_number: i64, now: Instant) -> ServerSession {
        ServerSession { id, last_use: now, transaction_number, dirty: true }
    }

    /// The same session for one more word to the server. It is not for others afterwards.
    pub fn last_word(&self) -> ServerSession {
        ServerSession { dirty: true, ..*self }
    }

    pub fn id(&self) -> Uuid {
        self.id
    }

    /// Appends the elements of an `lsid` document.
    pub fn append_id(&self, out: &mut Vec<u8>) {
        append_id(self.id, out);
    }

    fn expires_soon(&self, now: Instant, timeout: Option<Duration>) -> bool {
        let idle = now.saturating_duration_since(self.last_use);
        timeout.is_some_and(|timeout| idle + MARGIN >= timeout)
    }
}

fn append_id(id: Uuid, out: &mut Vec<u8>) {
    elements::uuid(out, "id", id);
}

/// Last in, first out, so that few sessions stay in use and the others expire.
#[derive(Default)]
pub struct ServerSessions(Mutex<Vec<ServerSession>>);

impl ServerSessions {
    pub fn take(&self, now: Instant, timeout: Option<Duration>) -> ServerSession {
        let mut pool = self.0.lock();
        while let Some(session) = pool.pop() {
            if !session.expires_soon(now, timeout) {
                return session;
            }
        }
        drop(pool);
        ServerSession::new(now)
    }

    pub fn give_back(&self, session: ServerSession, now: Instant, timeout: Option<Duration>) {
        let mut pool = self.0.lock();
        let expired = pool.iter().take_while(|old| old.expires_soon(now, timeout)).count();
        pool.drain(..expired);
        if !session.dirty && !session.expires_soon(now, timeout) {
            pool.push(session);
        }
    }

    /// Empties the pool; each answered list of ids fits one endSessions command.
    pub fn drain(&self) -> Vec<Vec<Uuid>> {
        let ids: Vec<Uuid> = self.0.lock().drain(..).map(|session| session.id).collect();
        ids.chunks(END_SESSIONS_BATCH).map(<[Uuid]>::to_vec).collect()
    }
}

/// The elements of an `endSessions` command.
pub fn append_end_sessions(ids: &[Uuid], out: &mut Vec<u8>) {
    elements::array_of_documents(out, "endSessions", ids, |id, out| append_id(*id, out));
}

/// The specification's one minute before the server would forget the session.
const MARGIN: Duration = Duration::from_secs(60);
const END_SESSIONS_BATCH: usize = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Option<Duration> = Some(Duration::from_secs(30 * 60));

    #[test]
    fn sessions_are_reused_last_in_first_out_until_they_expire() {
        let pool = ServerSessions::default();
        let start = Instant::now();
        let (first, second) = (pool.take(start, TIMEOUT), pool.take(start, TIMEOUT));
        let (one, two) = (first.id(), second.id());
        assert_ne!(one, two);
        pool.give_back(first, start, TIMEOUT);
        pool.give_back(second, start, TIMEOUT);
        let mut again = pool.take(start, TIMEOUT);
        assert_eq!(again.id(), two);
        again.last_use = start + Duration::from_secs(28 * 60);
        let late = start + Duration::from_secs(29 * 60);
        pool.give_back(again, late, TIMEOUT); // drops the expired first one
        assert_eq!(pool.drain(), vec![vec![two]]);
    }

    #[test]
    fn a_dirty_session_is_not_reused() {
        let pool = ServerSessions::default();
        let now = Instant::now();
        let mut session = pool.take(now, TIMEOUT);
        session.dirty = true;
        pool.give_back(session, now, TIMEOUT);
        assert!(pool.drain().is_empty());
    }
}
