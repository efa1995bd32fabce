//! The monitors of a cluster: started and restarted for its servers, and their observations applied.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::cluster::Cluster;
use super::monitors::{MonitorSettings, Monitors, Observation};
use crate::error::{Error, ErrorKind, Result};
use crate::metadata::DriverName;
use crate::topology::address::Address;
use crate::topology::reduce;

impl Cluster {
    /// New connections of the monitors name this driver too; the pools' learn it from the settings.
    pub fn append_driver(&self, driver: DriverName) {
        if let Some(monitors) = &*self.monitors.lock() {
            monitors.append_driver(driver);
        }
    }

    /// What the SRV records of a sharded (or unknown) deployment say now. Servers that stay keep
    /// their pools. The monitors are replaced, as those of the crate take no new hosts.
    pub fn replace_hosts(self: &Arc<Self>, hosts: &BTreeSet<Address>) -> Result<()> {
        let mut changed = false;
        self.update(|snapshot| {
            let next = reduce::replace_hosts(snapshot, hosts);
            changed = next.servers.keys().ne(snapshot.servers.keys());
            changed.then_some(next)
        });
        let Some(thread) = self.thread.lock().clone().filter(|_| changed) else { return Ok(()) };
        let mut monitors = self.monitors.lock();
        let watching = self.monitors_of(hosts.iter().cloned().collect())?;
        if let Some(old) = std::mem::replace(&mut *monitors, watching) {
            thread.spawn(old.stop());
        }
        Ok(())
    }

    /// `None` behind a load balancer, once closed, and where probes watch.
    pub(super) fn monitors_of(self: &Arc<Self>, seeds: Vec<Address>) -> Result<Option<Monitors>> {
        if self.settings.load_balanced || self.polls {
            return Ok(None);
        }
        let watched = Arc::downgrade(self);
        let sink = Arc::new(move |observation| {
            if let Some(cluster) = watched.upgrade() {
                cluster.observe(observation);
            }
        });
        let settings = &self.settings;
        let settings = MonitorSettings {
            seeds,
            replica_set: settings.replica_set.clone(),
            direct_connection: settings.direct_connection,
            load_balanced: settings.load_balanced,
            app_name: settings.app_name.clone(),
            connect_timeout: settings.connect_timeout,
            heartbeat_frequency: settings.heartbeat_frequency,
            drivers: settings.metadata.current().drivers.clone(),
            tls: settings.tls.clone(),
            server_api: settings.server_api.clone(),
            poll: settings.poll,
            events: settings.events.clone(),
        };
        let Some(thread) = self.thread.lock().clone() else { return Ok(None) };
        let started = thread.enter(|| Monitors::start(settings, sink));
        started.map(Some).map_err(|reason| Error::new(ErrorKind::Configuration, reason))
    }

    fn observe(self: &Arc<Self>, observation: Observation) {
        let description = match observation {
            Observation::Hello { server, .. } => *server,
            Observation::Failed { address, error, timeout, began } => {
                if timeout && self.was_found_since(began, &address) {
                    return;
                }
                return self.check_failed(&address, &error, timeout);
            }
            Observation::Unclear { address } => return self.probe(&address),
        };
        self.update(|snapshot| Some(reduce::apply(snapshot, description)));
    }
}
