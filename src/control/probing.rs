//! Handshakes of our own, which ask a server at once where the monitors would look only later.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::cluster::Cluster;
use super::driver;
use crate::deadline::{Deadline, TimeLimit, configured};
use crate::error::ErrorKind;
use crate::event::heartbeat::{HeartbeatChange, HeartbeatEvent};
use crate::topology::address::Address;
use crate::topology::reduce;
use crate::topology::round_trips::RoundTrips;
use crate::topology::server::ServerDescription;

pub(super) struct Probe {
    started: Instant,
    running: bool,
    answered: Option<Instant>,
    /// Of probes, where they are all there is.
    round_trips: RoundTrips,
    count: u32,
}

impl Cluster {
    /// Asks every server that nothing is known of, now.
    pub fn probe_unknown(self: &Arc<Self>) {
        let snapshot = self.snapshot().clone();
        for server in snapshot.servers.values().filter(|server| !server.kind.is_known()) {
            self.probe(&server.address);
        }
    }

    /// A handshake on the control thread, one at a time and not more often than every 500 ms.
    pub(super) fn probe(self: &Arc<Self>, address: &Address) {
        if self.settings.load_balanced {
            return; // the next connection may lead to another server
        }
        let now = Instant::now();
        let mut probed = self.probed.lock();
        let recent = probed.get(address).is_some_and(|probe| {
            probe.running || now.saturating_duration_since(probe.started) < PROBE_INTERVAL
        });
        let Some(server) = self.server(address).filter(|_| !recent && !self.is_closed()) else {
            return;
        };
        let probe = probed.entry(address.clone()).or_insert_with(|| Probe {
            started: now,
            running: true,
            answered: None,
            round_trips: RoundTrips::default(),
            count: 0,
        });
        (probe.started, probe.running, probe.answered) = (now, true, None);
        probe.count += 1;
        let connection = probe.count;
        drop(probed);
        let cluster = Arc::downgrade(self);
        // Where probes watch they are the server's heartbeats.
        let events = self.polls.then(|| self.settings.events.clone());
        self.spawn(async move {
            let limit = server.settings.connect_timeout;
            let tell = |server_connection_id, what: HeartbeatChange| {
                let Some(events) = &events else { return };
                events.heartbeat(|| HeartbeatEvent {
                    address: server.address.clone(),
                    awaited: false,
                    driver_connection_id: connection,
                    server_connection_id,
                    what,
                });
            };
            tell(None, HeartbeatChange::Started);
            // On the heap: a spawned future is copied on the caller's stack, which may be a small one.
            let deadline = Deadline::after(now, limit);
            let probed = Box::pin(server.dialer.probe(&server.address, deadline));
            let outcome = driver::run_on_tokio(probed).await;
            let outcome = outcome.map_err(|error| {
                error.with_timeouts(|| configured(limit, limit, TimeLimit::Unset))
            });
            let Some(cluster) = cluster.upgrade() else { return };
            match outcome {
                Ok(found) => {
                    let duration = found.description.round_trip_time.unwrap_or_default();
                    let reply = found.reply.body().to_owned();
                    let what = HeartbeatChange::Succeeded { duration, reply };
                    tell(found.server_connection_id, what);
                    cluster.probe_answered(&found.description, duration);
                }
                Err(error) => {
                    let (duration, timeout) =
                        (now.elapsed(), error.kind() == ErrorKind::NetworkTimeout);
                    let text = error.message().to_owned();
                    tell(None, HeartbeatChange::Failed { duration, error: text, timeout });
                    cluster.probe_failed(&server.address, now, error.message(), timeout);
                }
            }
        });
    }

    /// The reply itself has been applied by then, as that of any handshake.
    fn probe_answered(&self, description: &ServerDescription, round_trip: Duration) {
        let mut probed = self.probed.lock();
        let Some(probe) = probed.get_mut(&description.address) else { return };
        (probe.running, probe.answered) = (false, Some(Instant::now()));
        if !self.polls {
            return; // monitors measure
        }
        probe.round_trips.add(round_trip);
        let (average, minimum) = (probe.round_trips.average(), probe.round_trips.minimum());
        drop(probed);
        self.update(|snapshot| {
            let mut known = snapshot.server(&description.address)?.clone();
            (known.round_trip_time, known.min_round_trip_time) = (average, minimum);
            known.kind.is_known().then(|| reduce::apply(snapshot, known))
        });
    }

    fn probe_failed(&self, address: &Address, began: Instant, error: &str, timeout: bool) {
        if let Some(probe) = self.probed.lock().get_mut(address) {
            probe.running = false;
            probe.round_trips = RoundTrips::default();
        }
        // Other connections may have received replies from the server meanwhile.
        let heard = self.snapshot().server(address).is_some_and(|known| {
            known.kind.is_known() && known.last_update_time.is_some_and(|at| at > began)
        });
        if !heard {
            self.check_failed(address, error, timeout);
        }
    }

    /// Whether a probe was answered while a check was waiting in vain: that tells of a time before the
    /// server was found again, and what is in use since is not to be cut off once more.
    pub(super) fn was_found_since(&self, began: Instant, address: &Address) -> bool {
        let answered = self.probed.lock().get(address).and_then(|probe| probe.answered);
        answered.is_some_and(|answered| answered > began)
    }
}

const PROBE_INTERVAL: Duration = Duration::from_millis(500);
