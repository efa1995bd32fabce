//! Remaining time, computed from a `now` that is passed in.

use std::time::{Duration, Instant};

/// The moment at which a wait gives up; `Deadline::NEVER` waits for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline(Option<Instant>);

impl Deadline {
    pub const NEVER: Deadline = Deadline(None);

    pub fn after(now: Instant, timeout: Option<Duration>) -> Deadline {
        Deadline(timeout.and_then(|timeout| now.checked_add(timeout)))
    }

    pub fn instant(self) -> Option<Instant> {
        self.0
    }

    pub fn passed(self, now: Instant) -> bool {
        self.0.is_some_and(|at| at <= now)
    }

    pub fn earlier(self, other: Deadline) -> Deadline {
        match (self.0, other.0) {
            (Some(a), Some(b)) => Deadline(Some(a.min(b))),
            (a, b) => Deadline(a.or(b)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earlier_of_two_wins_and_never_is_last() {
        let now = Instant::now();
        let soon = Deadline::after(now, Some(Duration::from_secs(1)));
        let late = Deadline::after(now, Some(Duration::from_secs(2)));
        assert_eq!(soon.earlier(late), soon);
        assert_eq!(Deadline::NEVER.earlier(late), late);
        assert!(!soon.passed(now));
        assert!(soon.passed(now + Duration::from_secs(1)));
        assert!(!Deadline::after(now, None).passed(now + Duration::from_secs(9)));
    }
}
