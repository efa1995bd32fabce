//! A snapshot in words, for messages: the shape PyMongo users know from its server selection errors.

use std::fmt;

use super::address::Address;
use super::selection::Criteria;
use super::server::ServerDescription;
use super::snapshot::{Snapshot, TopologyKind};

/// `<TopologyDescription id: ..., topology_type: ..., servers: [...]>`, for `format!`.
pub fn summary(snapshot: &Snapshot) -> impl fmt::Display + '_ {
    Summary(snapshot)
}

/// Why no server was found, in one sentence without the topology's summary.
pub fn reason(snapshot: &Snapshot, criteria: &Criteria) -> String {
    let servers = match snapshot.kind {
        TopologyKind::ReplicaSetNoPrimary | TopologyKind::ReplicaSetWithPrimary => {
            "replica set members"
        }
        TopologyKind::Sharded => "mongoses",
        _ => "servers",
    };
    if snapshot.known_servers().next().is_some() {
        return match criteria {
            Criteria::Writable if snapshot.kind.is_replica_set() => {
                "No primary available for writes".to_owned()
            }
            Criteria::Writable => format!("No {servers} available for writes"),
            Criteria::Read(preference) | Criteria::Output(preference) => {
                format!("No {servers} match read preference {}", preference.mode.name())
            }
        };
    }
    if snapshot.servers.is_empty() {
        return match &snapshot.settings.replica_set {
            Some(name) => format!("No {servers} available for replica set name '{name}'"),
            None => format!("No {servers} available"),
        };
    }
    // All Unknown. One reason for all of them is told once.
    let mut errors: Vec<&str> =
        snapshot.servers.values().filter_map(|server| server.error.as_deref()).collect();
    errors.dedup();
    let still_starting = snapshot.servers.values().all(|server| server.error.is_none());
    let seeds_are_gone =
        snapshot.settings.seeds.iter().all(|seed| !snapshot.servers.contains_key(seed));
    if still_starting {
        format!("No {servers} found yet")
    } else if seeds_are_gone && snapshot.kind.is_replica_set() {
        let names: Vec<String> = snapshot.servers.keys().map(Address::to_string).collect();
        format!(
            "Could not reach any of {}: the replica set's configuration names its members so, perhaps by hosts known inside its own network only",
            names.join(", ")
        )
    } else {
        errors.join(",")
    }
}

struct Summary<'a>(&'a Snapshot);

impl fmt::Display for Summary<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Summary(snapshot) = self;
        write!(
            out,
            "<TopologyDescription id: {}, topology_type: {}, servers: [",
            snapshot.settings.id,
            snapshot.kind.name()
        )?;
        for (index, server) in snapshot.servers.values().enumerate() {
            if index > 0 {
                out.write_str(", ")?;
            }
            write_server(out, server)?;
        }
        out.write_str("]>")
    }
}

fn write_server(out: &mut fmt::Formatter<'_>, server: &ServerDescription) -> fmt::Result {
    out.write_str("<ServerDescription (")?;
    write_text(out, &server.address.host)?;
    match server.address.port {
        None => out.write_str(", None)")?,
        Some(port) => write!(out, ", {port})")?,
    }
    write!(out, " server_type: {}, rtt: ", server.kind.name())?;
    match server.round_trip_time {
        Some(time) => write!(out, "{}", time.as_secs_f64())?,
        None => out.write_str("None")?,
    }
    if let Some(error) = &server.error {
        out.write_str(", error=")?;
        write_text(out, error)?;
    }
    out.write_str(">")
}

/// As Python's repr writes a string.
fn write_text(out: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    write!(out, "{quote}")?;
    for character in text.chars() {
        match character {
            '\n' => out.write_str("\\n")?,
            '\\' => out.write_str("\\\\")?,
            '\'' if quote == '\'' => out.write_str("\\'")?,
            other => write!(out, "{other}")?,
        }
    }
    write!(out, "{quote}")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    use bson::oid::ObjectId;

    use super::*;
    use crate::topology::read_preference::{ReadMode, ReadPreference};
    use crate::topology::server::ServerType;
    use crate::topology::snapshot::TopologySettings;

    fn snapshot(seeds: &[&str], replica_set: Option<&str>) -> Snapshot {
        Snapshot::new(Arc::new(TopologySettings {
            id: ObjectId::from_bytes([1; 12]),
            seeds: seeds
                .iter()
                .map(|seed| {
                    Address::parse(seed).or_else(|_| Address::from_user(seed, None)).unwrap()
                })
                .collect(),
            replica_set: replica_set.map(str::to_owned),
            direct_connection: false,
            load_balanced: false,
            heartbeat_frequency: Duration::from_secs(10),
        }))
    }

    fn fail(snapshot: &mut Snapshot, error: &str) {
        for (address, server) in &mut snapshot.servers {
            *server = ServerDescription::failed(address.clone(), error, Instant::now());
        }
    }

    #[test]
    fn the_summary_reads_like_a_python_object() {
        let mut snapshot = snapshot(&["b", "/tmp/a.sock"], None);
        let server = snapshot.servers.get_mut(&Address::tcp("b", 27017).unwrap()).unwrap();
        server.kind = ServerType::Mongos;
        server.round_trip_time = Some(Duration::from_millis(250));
        server.error = Some("it's\\over\n".to_owned());
        assert_eq!(
            summary(&snapshot).to_string(),
            "<TopologyDescription id: 010101010101010101010101, topology_type: Unknown, servers: [\
             <ServerDescription ('/tmp/a.sock', None) server_type: Unknown, rtt: None>, \
             <ServerDescription ('b', 27017) server_type: Mongos, rtt: 0.25, error=\"it's\\\\over\\n\">]>"
        );
    }

    #[test]
    fn the_reason_is_the_most_telling_one() {
        let read = Criteria::Read(Arc::new(ReadPreference::new(ReadMode::Secondary)));
        let mut set = snapshot(&["a", "b"], Some("rs"));
        assert_eq!(reason(&set, &read), "No replica set members found yet");

        fail(&mut set, "refused");
        assert_eq!(reason(&set, &read), "refused");
        set.servers.get_mut(&Address::tcp("b", 27017).unwrap()).unwrap().error =
            Some("lost".to_owned());
        assert_eq!(reason(&set, &read), "refused,lost");

        let mut moved = snapshot(&["a"], Some("rs"));
        moved.servers = snapshot(&["inner"], Some("rs")).servers;
        fail(&mut moved, "no such host");
        assert!(reason(&moved, &read).contains("inner:27017"), "{}", reason(&moved, &read));

        set.servers.get_mut(&Address::tcp("b", 27017).unwrap()).unwrap().kind =
            ServerType::RSPrimary;
        assert!(reason(&set, &read).contains("secondary"), "{}", reason(&set, &read));
        assert_eq!(reason(&set, &Criteria::Writable), "No primary available for writes");

        set.servers.clear();
        assert!(reason(&set, &read).contains("'rs'"), "{}", reason(&set, &read));
    }
}
