//! How far a secondary may lag behind: the max staleness specification's estimates.

use std::time::Duration;

use super::server::{ServerDescription, ServerType};
use super::snapshot::Snapshot;

/// None when the limit makes sense with this heartbeat frequency, else what is wrong with it.
pub(super) fn refusal(max_staleness: Duration, heartbeat_frequency: Duration) -> Option<String> {
    if max_staleness < SMALLEST {
        return Some(format!(
            "maxStalenessSeconds is {}, but must be at least {}",
            max_staleness.as_secs(),
            SMALLEST.as_secs()
        ));
    }
    if max_staleness < heartbeat_frequency + IDLE_WRITE_PERIOD {
        return Some(format!(
            "maxStalenessSeconds is {}, but must be at least heartbeatFrequencyMS ({}) plus {} seconds",
            max_staleness.as_secs(),
            heartbeat_frequency.as_millis(),
            IDLE_WRITE_PERIOD.as_secs()
        ));
    }
    None
}

/// True for every server but a secondary that lags too far. With a primary its own clock readings cancel
/// the clocks' differences; without one the freshest secondary is the measure.
pub(super) fn is_fresh(
    snapshot: &Snapshot,
    server: &ServerDescription,
    max_staleness: Duration,
) -> bool {
    if server.kind != ServerType::RSSecondary {
        return true;
    }
    let lag = match snapshot.primary() {
        Some(primary) => lag_behind_primary(server, primary),
        None => lag_behind_freshest(server, snapshot),
    };
    // A server that tells no lastWriteDate gives nothing to judge it by.
    let heartbeat = snapshot.settings.heartbeat_frequency.as_millis() as i64;
    lag.is_some_and(|lag| lag + heartbeat <= max_staleness.as_millis() as i64)
}

fn lag_behind_primary(server: &ServerDescription, primary: &ServerDescription) -> Option<i64> {
    let (seen, primary_seen) = (server.last_update_time?, primary.last_update_time?);
    let seen_later = seen.saturating_duration_since(primary_seen).as_millis() as i64
        - primary_seen.saturating_duration_since(seen).as_millis() as i64;
    Some(seen_later + written(primary)? - written(server)?)
}

fn lag_behind_freshest(server: &ServerDescription, snapshot: &Snapshot) -> Option<i64> {
    let secondaries =
        snapshot.servers.values().filter(|other| other.kind == ServerType::RSSecondary);
    Some(secondaries.filter_map(written).max()? - written(server)?)
}

fn written(server: &ServerDescription) -> Option<i64> {
    server.last_write_date.map(|date| date.timestamp_millis())
}

const SMALLEST: Duration = Duration::from_secs(90);
/// A primary with nothing to do writes a no-op this often, which moves the secondaries' lastWriteDate.
const IDLE_WRITE_PERIOD: Duration = Duration::from_secs(10);
