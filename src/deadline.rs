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
    /// retries go on until then.
    Until {
        deadline: Deadline,
        /// What the user has asked for; an enclosing limit may leave less.
        timeout: Duration,
    },
}

impl TimeLimit {
    /// A timeout of 0.
    pub const ENDLESS: TimeLimit =
        TimeLimit::Until { deadline: Deadline::NEVER, timeout: Duration::ZERO };

    pub fn after(now: Instant, timeout: Duration) -> TimeLimit {
        TimeLimit::Until { deadline: Deadline::after(now, Some(timeout)), timeout }
    }

    pub fn is_set(self) -> bool {
        self != TimeLimit::Unset
    }

    pub fn deadline(self) -> Deadline {
        match self {
            TimeLimit::Unset => Deadline::NEVER,
            TimeLimit::Until { deadline, .. } => deadline,
        }
    }

    fn timeout(self) -> Option<Duration> {
        match self {
            TimeLimit::Until { timeout, .. } if !timeout.is_zero() => Some(timeout),
            _ => None,
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

/// The end of an error's text that names the timeouts in force, as PyMongo's does.
pub fn configured(
    socket_timeout: Option<Duration>,
    connect_timeout: Option<Duration>,
    limit: TimeLimit,
) -> String {
    let timeout = limit.timeout();
    let named = [
        ("socketTimeoutMS", socket_timeout.filter(|_| timeout.is_none())),
        ("timeoutMS", timeout),
        ("connectTimeoutMS", connect_timeout),
    ];
    let named: Vec<_> = named
        .into_iter()
        .filter_map(|(name, time)| Some((name, time.filter(|time| !time.is_zero())?)))
        .map(|(name, time)| format!("{name}: {:?}ms", time.as_secs_f64() * 1000.0))
        .collect();
    match named.is_empty() {
        true => String::new(),
        false => format!(" (configured timeouts: {})", named.join(", ")),
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

    #[test]
    fn a_limit_takes_the_place_of_other_timeouts_unless_it_is_zero() {
        let now = Instant::now();
        let own = Some(Duration::from_secs(1));
        let late = TimeLimit::after(now, Duration::from_secs(2));
        assert_eq!(late.or_after(now, own), late.deadline());
        for unlimited in [TimeLimit::Unset, TimeLimit::ENDLESS] {
            assert_eq!(unlimited.or_after(now, own), Deadline::after(now, own));
        }
    }

    #[test]
    fn an_error_names_the_timeouts_in_force() {
        let seconds = |count| Some(Duration::from_secs(count));
        let limit = TimeLimit::after(Instant::now(), Duration::from_micros(1500));
        for (socket, connect, limit, expected) in [
            (None, None, TimeLimit::ENDLESS, ""),
            (
                None,
                seconds(20),
                TimeLimit::Unset,
                " (configured timeouts: connectTimeoutMS: 20000.0ms)",
            ),
            (
                seconds(1),
                seconds(2),
                TimeLimit::Unset,
                " (configured timeouts: socketTimeoutMS: 1000.0ms, connectTimeoutMS: 2000.0ms)",
            ),
            (seconds(1), seconds(0), limit, " (configured timeouts: timeoutMS: 1.5ms)"),
        ] {
            assert_eq!(configured(socket, connect, limit), expected);
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
