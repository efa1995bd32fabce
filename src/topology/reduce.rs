//! The discovery state machine: a snapshot and one server's news make the next snapshot.
//!
//! Follows the server discovery and monitoring specification; its table of (topology type, server type)
//! is the `match` in `apply`.

use std::collections::BTreeSet;

use bson::oid::ObjectId;

use super::address::Address;
use super::server::{ServerDescription, ServerType};
use super::snapshot::{Snapshot, TopologyKind};

/// News of a server that is not (or no longer) part of the topology, and news older than what is known,
/// change nothing.
pub fn apply(snapshot: &Snapshot, mut server: ServerDescription) -> Snapshot {
    let mut next = snapshot.clone();
    let Some(known) = snapshot.server(&server.address) else {
        return next;
    };
    if let (Some(known), Some(new)) = (&known.topology_version, &server.topology_version)
        && known.is_newer_than(new)
    {
        return next;
    }
    if server.kind.is_known() && server.round_trip_time.is_none() {
        server.round_trip_time = known.round_trip_time;
        server.min_round_trip_time = known.min_round_trip_time;
    }
    next.servers.insert(server.address.clone(), server.clone());

    if next.kind == TopologyKind::Unknown {
        next.kind = kind_from_first_answer(&mut next, &server);
    }
    use ServerType::*;
    match next.kind {
        TopologyKind::Single => next.check_set_name_of_single(&server),
        TopologyKind::Sharded if !matches!(server.kind, Mongos | Unknown) => {
            next.remove(&server.address)
        }
        TopologyKind::ReplicaSetNoPrimary | TopologyKind::ReplicaSetWithPrimary => {
            match server.kind {
                Standalone | Mongos => next.remove(&server.address),
                RSPrimary => next.update_from_primary(&server),
                RSSecondary | RSArbiter | RSOther
                    if next.kind == TopologyKind::ReplicaSetNoPrimary =>
                {
                    next.update_without_primary(&server);
                }
                RSSecondary | RSArbiter | RSOther => next.update_from_member(&server),
                Unknown | RSGhost | LoadBalancer => {}
            }
        }
        _ => {}
    }
    if next.kind.is_replica_set() {
        next.kind = match next.primary() {
            Some(_) => TopologyKind::ReplicaSetWithPrimary,
            None => TopologyKind::ReplicaSetNoPrimary,
        };
    }
    next.settle()
}

/// Changes the set of seeds' servers of an Unknown or Sharded topology to what DNS lists now.
pub fn replace_hosts(snapshot: &Snapshot, hosts: &BTreeSet<Address>) -> Snapshot {
    let mut next = snapshot.clone();
    if matches!(next.kind, TopologyKind::Unknown | TopologyKind::Sharded) && !hosts.is_empty() {
        next.keep_only(hosts);
    }
    next.settle()
}

fn kind_from_first_answer(next: &mut Snapshot, server: &ServerDescription) -> TopologyKind {
    use ServerType::*;
    match server.kind {
        Unknown | RSGhost => TopologyKind::Unknown,
        Mongos => TopologyKind::Sharded,
        RSPrimary | RSSecondary | RSArbiter | RSOther => TopologyKind::ReplicaSetNoPrimary,
        Standalone | LoadBalancer if next.settings.seeds.len() == 1 => TopologyKind::Single,
        // Several seeds promise a replica set or a sharded cluster: a standalone among them is a mistake.
        Standalone | LoadBalancer => {
            next.remove(&server.address);
            TopologyKind::Unknown
        }
    }
}

impl Snapshot {
    fn remove(&mut self, address: &Address) {
        self.servers.remove(address);
    }

    fn mark_unknown(&mut self, server: &ServerDescription, why: impl Into<String>) {
        self.servers.insert(server.address.clone(), server.to_unknown(why));
    }

    fn keep_only(&mut self, hosts: &BTreeSet<Address>) {
        self.servers.retain(|address, _| hosts.contains(address));
        self.add_missing(hosts.iter());
    }

    fn add_missing<'a>(&mut self, hosts: impl Iterator<Item = &'a Address>) {
        for host in hosts {
            let unknown = || ServerDescription::unknown(host.clone());
            self.servers.entry(host.clone()).or_insert_with(unknown);
        }
    }

    fn check_set_name_of_single(&mut self, server: &ServerDescription) {
        if let Some(wanted) = &self.set_name
            && server.kind.is_known()
            && server.set_name.as_ref() != Some(wanted)
        {
            let why = match &server.set_name {
                Some(found) => {
                    format!("the server belongs to replica set '{found}', not to '{wanted}'")
                }
                None => format!("the server is not a member of replica set '{wanted}'"),
            };
            self.mark_unknown(server, why);
        }
    }

    /// A member's word while the primary is not known: its set and its list of hosts are taken over,
    /// but nobody is removed on it.
    fn update_without_primary(&mut self, server: &ServerDescription) {
        if !self.adopt_or_check_set_name(server) {
            return;
        }
        self.add_missing(server.all_hosts());
        self.remove_if_named_otherwise(server);
    }

    fn update_from_member(&mut self, server: &ServerDescription) {
        if self.adopt_or_check_set_name(server) {
            self.remove_if_named_otherwise(server);
        }
    }

    /// The primary's word is final: its list of hosts becomes the topology.
    fn update_from_primary(&mut self, server: &ServerDescription) {
        if !self.adopt_or_check_set_name(server) {
            return;
        }
        if !self.accept_election(server) {
            let why = format!(
                "{STALE_ELECTION}: {} and {} are older than {} and {}",
                shown(server.election_id),
                shown(server.set_version),
                shown(self.max_election_id),
                shown(self.max_set_version)
            );
            self.mark_unknown(server, why);
            return;
        }
        let deposed = self
            .servers
            .values()
            .find(|other| other.kind == ServerType::RSPrimary && other.address != server.address)
            .cloned();
        if let Some(deposed) = deposed {
            self.mark_unknown(&deposed, format!("{DEPOSED}: {}", server.address));
        }
        self.keep_only(&server.all_hosts().cloned().collect());
    }

    /// False, and the server is gone, when it belongs to another replica set.
    fn adopt_or_check_set_name(&mut self, server: &ServerDescription) -> bool {
        if self.set_name.is_none() {
            self.set_name = server.set_name.clone();
        }
        let same = self.set_name == server.set_name;
        if !same {
            self.remove(&server.address);
        }
        same
    }

    /// A member reached under a name that the replica set does not use: it will be found under its own.
    fn remove_if_named_otherwise(&mut self, server: &ServerDescription) {
        if server.me.as_ref().is_some_and(|me| *me != server.address) {
            self.remove(&server.address);
        }
    }

    /// Compares a primary with the newest one seen, and remembers it when it is not older.
    fn accept_election(&mut self, server: &ServerDescription) -> bool {
        let new: (Option<ObjectId>, Option<i64>) = (server.election_id, server.set_version);
        if server.max_wire_version >= WIRE_VERSION_6_0 {
            // A missing value counts as the smallest, as Option orders it.
            if new < (self.max_election_id, self.max_set_version) {
                return false;
            }
            (self.max_election_id, self.max_set_version) = new;
            return true;
        }
        // Before 6.0 setVersion comes first, and only complete pairs can be compared.
        if let (Some(election_id), Some(set_version)) = new {
            if let (Some(max_election_id), Some(max_set_version)) =
                (self.max_election_id, self.max_set_version)
                && (set_version, election_id) < (max_set_version, max_election_id)
            {
                return false;
            }
            self.max_election_id = Some(election_id);
        }
        self.max_set_version = self.max_set_version.max(server.set_version);
        true
    }
}

fn shown(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "none".to_owned(), |value| value.to_string())
}

const WIRE_VERSION_6_0: i32 = 17;
/// The specification's words, which its tests look for.
const STALE_ELECTION: &str = "primary marked stale due to electionId/setVersion mismatch";
const DEPOSED: &str = "primary marked stale due to discovery of newer primary";

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    use bson::rawdoc;

    use super::*;
    use crate::topology::hello;
    use crate::topology::snapshot::TopologySettings;

    fn address(host: &str) -> Address {
        Address::tcp(host, 27017).unwrap()
    }

    fn snapshot(seeds: &[&str]) -> Snapshot {
        Snapshot::new(Arc::new(TopologySettings {
            id: ObjectId::from_bytes([0; 12]),
            seeds: seeds.iter().map(|seed| address(seed)).collect(),
            replica_set: None,
            direct_connection: false,
            load_balanced: false,
            heartbeat_frequency: Duration::from_secs(10),
        }))
    }

    fn mongos(host: &str, round_trip_time: Option<Duration>) -> ServerDescription {
        let reply = rawdoc! {"ok": 1, "msg": "isdbgrid", "maxWireVersion": 21};
        hello::parse(address(host), &reply, round_trip_time, Instant::now())
    }

    #[test]
    fn an_awaited_reply_keeps_the_average_and_a_failure_forgets_it() {
        let average = Some(Duration::from_millis(3));
        let known = apply(&snapshot(&["a"]), mongos("a", average));
        let awaited = apply(&known, mongos("a", None));
        assert_eq!(awaited.servers[&address("a")].round_trip_time, average);

        let failed = ServerDescription::failed(address("a"), "lost", Instant::now());
        let failed = apply(&awaited, failed);
        assert_eq!(failed.servers[&address("a")].round_trip_time, None);
        assert_eq!(failed.kind, TopologyKind::Sharded);
    }

    #[test]
    fn news_of_a_stranger_changes_nothing() {
        let next = apply(&snapshot(&["a"]), mongos("b", None));
        assert_eq!(next.kind, TopologyKind::Unknown);
        assert_eq!(next.servers.keys().collect::<Vec<_>>(), [&address("a")]);
    }

    #[test]
    fn dns_may_replace_the_mongoses_but_never_by_none() {
        let sharded = apply(&snapshot(&["a", "b"]), mongos("a", None));
        let next = replace_hosts(&sharded, &[address("a"), address("c")].into());
        let names = next.servers.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names, [address("a"), address("c")]);
        assert_eq!(next.servers[&address("a")].kind, ServerType::Mongos);
        assert_eq!(replace_hosts(&sharded, &BTreeSet::new()).servers.len(), 2);

        let reply = rawdoc! {"ok": 1, "setName": "rs", "secondary": true, "hosts": ["a:27017"]};
        let member = hello::parse(address("a"), &reply, None, Instant::now());
        let set = apply(&snapshot(&["a"]), member);
        assert!(!replace_hosts(&set, &[address("c")].into()).servers.contains_key(&address("c")));
    }
}
