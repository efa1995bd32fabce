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

    /// What is left at `now`; `None` for ever.
    pub fn remaining(self, now: Instant) -> Option<Duration> {
        self.0.map(|at| at.saturating_duration_since(now))
    }

    pub fn earlier(self, other: Deadline) -> Deadline {
        match (self.0, other.0) {
            (Some(a), Some(b)) => Deadline(Some(a.min(b))),
            (a, b) => Deadline(a.or(b)),
        }
    }
}

/// What client-side operations timeout (timeoutMS, `timeout()`) allows one call of the user.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TimeLimit {
    /// Not in use: every wait has a timeout of its own, and an operation is retried once.
    #[default]
    Unset,
    /// In use: it takes the place of socketTimeoutMS, waitQueueTimeoutMS, maxTimeMS and wtimeout, and
    /// retries go on until then. A timeout of 0 is `Deadline::NEVER`.
    Until(Deadline),
}

impl TimeLimit {
    pub fn is_set(self) -> bool {
        self != TimeLimit::Unset
    }

    pub fn deadline(self) -> Deadline {
        match self {
            TimeLimit::Unset => Deadline::NEVER,
            TimeLimit::Until(deadline) => deadline,
        }
    }

    /// Has a moment to keep to.
    pub fn is_finite(self) -> bool {
        self.deadline() != Deadline::NEVER
    }

    /// The limit if it has a moment to keep to, else a timeout of the wait's own.
    pub fn or_after(self, now: Instant, timeout: Option<Duration>) -> Deadline {
        if self.is_finite() { self.deadline() } else { Deadline::after(now, timeout) }
    }
}

/// How long the server may work (maxTimeMS) on a command that leaves at `now`: its answer has to come
/// back in time too. `None` if nothing can come of it. Never 0, which a server takes for "no limit".
pub fn max_time_ms(remaining: Duration, round_trip: Duration) -> Option<i64> {
    let left = remaining.checked_sub(round_trip).filter(|_| !remaining.is_zero())?;
    Some(i64::try_from(left.as_millis()).unwrap_or(i64::MAX).max(1))
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

    #[test]
    fn a_limit_takes_the_place_of_other_timeouts_unless_it_is_zero() {
        let now = Instant::now();
        let own = Some(Duration::from_secs(1));
        let late = Deadline::after(now, Some(Duration::from_secs(2)));
        assert_eq!(TimeLimit::Until(late).or_after(now, own), late);
        for unlimited in [TimeLimit::Unset, TimeLimit::Until(Deadline::NEVER)] {
            assert_eq!(unlimited.or_after(now, own), Deadline::after(now, own));
        }
    }

    #[test]
    fn the_server_gets_what_the_way_there_and_back_leaves() {
        let ms = Duration::from_millis;
        assert_eq!(max_time_ms(ms(100), ms(30)), Some(70));
        assert_eq!(max_time_ms(ms(30), ms(30)), Some(1));
        assert_eq!(max_time_ms(Duration::from_micros(300), ms(0)), Some(1));
        assert_eq!(max_time_ms(ms(29), ms(30)), None);
        assert_eq!(max_time_ms(ms(0), ms(0)), None);
    }
}
