//! Watches the servers by probes of our own, where the monitors of the `mongodb` crate must not be used.
//!
//! These cannot skip the verification of the host name alone, support no revocation lists, and have no TLS
//! over Unix domain sockets. Nor do they take a port that TCP does not have, which a program may give to get
//! a client without a server. A probe connects, verifies and sends its hello as operations do.

use std::sync::Weak;
use std::time::{Duration, Instant};

use super::cluster::Cluster;
use crate::settings::Settings;
use crate::topology::address::Address;

/// Whether the crate's monitors would secure their connections less than the options require, or connect
/// elsewhere.
pub fn is_needed(settings: &Settings) -> bool {
    let misses_a_port = |seed: &Address| !seed.is_unix_socket() && seed.tcp_port().is_none();
    let less_secure = settings.tls.as_ref().is_some_and(|tls| {
        let given = &tls.options;
        let verifies_otherwise = given.allow_invalid_hostnames || given.crl_file.is_some();
        (verifies_otherwise && !given.allow_invalid_certificates)
            || settings.seeds.iter().any(|seed| seed.is_unix_socket())
    });
    less_secure || settings.seeds.iter().any(misses_a_port)
}

/// Probes every server each `interval`, and new ones at once, until the cluster has gone.
pub async fn run(cluster: Weak<Cluster>, interval: Duration) {
    let mut next_round = Instant::now();
    while let Some(cluster) = cluster.upgrade() {
        let changed = cluster.listen();
        let now = Instant::now();
        let all = now >= next_round;
        if all {
            next_round = now + interval;
        }
        let snapshot = cluster.snapshot().clone();
        let due = snapshot.servers.values().filter(|it| all || it.last_update_time.is_none());
        due.for_each(|server| cluster.probe(&server.address));
        drop((snapshot, cluster)); // not kept alive by waiting
        let _ = tokio::time::timeout_at(next_round.into(), changed).await;
    }
}
