//! The thread that syncs a log's file for callers who must not block theirs. It runs while there is something
//! to do, and a little longer.

use std::sync::Arc;
use std::time::Duration;

use super::file::{Books, LogFile};
use crate::net::signals;

#[derive(Default)]
pub(super) struct Worker {
    runs: bool,
    pub(super) sync_wanted: bool,
}

impl LogFile {
    /// To look at what is wanted. False if there can be no thread.
    #[must_use]
    pub(super) fn ask_worker(self: &Arc<Self>, books: &mut Books) -> bool {
        self.changed.notify_all();
        if !books.worker.runs {
            let file = self.clone();
            let thread = std::thread::Builder::new().name("ferromongo-log".to_owned());
            books.worker.runs = thread.spawn(move || file.work()).is_ok();
        }
        books.worker.runs
    }

    fn work(self: Arc<Self>) {
        signals::block();
        let mut books = self.books.lock();
        loop {
            books.worker.sync_wanted &= books.has_unsynced();
            if books.worker.sync_wanted && !books.syncing {
                books.worker.sync_wanted = false;
                self.sync(books);
                books = self.books.lock();
                continue;
            }
            if books.rotation.wanted && !books.is_closed() {
                drop(books);
                self.rotate();
                books = self.books.lock();
                continue;
            }
            let late;
            (books, late) = self.changed.wait_timeout(books, IDLE);
            if !books.worker.sync_wanted && (late || books.is_closed()) {
                books.worker.runs = false;
                return;
            }
        }
    }
}

const IDLE: Duration = Duration::from_secs(2);
