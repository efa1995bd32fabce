//! The official server selection and max staleness scenarios.

mod scenarios;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bson::oid::ObjectId;
use ferromongo::topology::address::Address;
use ferromongo::topology::read_preference::{ReadMode, ReadPreference};
use ferromongo::topology::selection::{Criteria, in_latency_window, pick, suitable};
use ferromongo::topology::server::{ServerDescription, ServerType, average_round_trip};
use ferromongo::topology::snapshot::{MAX_WIRE_VERSION, Snapshot, TopologyKind, TopologySettings};
use scenarios::{Score, list, same, string};
use serde_json::Value;

#[test]
fn server_selection() {
    Score::run("server-selection/tests/server_selection", select)
        .skip("server-selection/tests/logging", "they need a running server")
        .finish();
}

#[test]
fn max_staleness() {
    Score::run("max-staleness/tests", select).finish();
}

#[test]
fn in_window() {
    Score::run("server-selection/tests/in_window", distribute).finish();
}

#[test]
fn round_trip_times() {
    Score::run("server-selection/tests/rtt", average).finish();
}

fn select(scenario: &Value) -> Result<(), String> {
    let heartbeat =
        scenario["heartbeatFrequencyMS"].as_u64().map_or(DEFAULT_HEARTBEAT, Duration::from_millis);
    let snapshot = snapshot(&scenario["topology_description"], heartbeat);
    let criteria = match scenario["operation"].as_str() {
        Some("write") => Criteria::Writable,
        _ => Criteria::Read(Arc::new(read_preference(&scenario["read_preference"]))),
    };
    let deprioritized = addresses(&scenario["deprioritized_servers"]);
    let found = suitable(&snapshot, &criteria, &deprioritized);
    if scenario["error"].as_bool() == Some(true) {
        return found.map_or(Ok(()), |found| Err(format!("no error, but {} servers", found.len())));
    }
    let found = found.map_err(|error| format!("unexpected error: {error}"))?;
    same("suitable_servers", names(&found), addresses(&scenario["suitable_servers"]))?;
    let near = in_latency_window(found, LOCAL_THRESHOLD);
    same("in_latency_window", names(&near), addresses(&scenario["in_latency_window"]))
}

/// Many selections with fixed numbers of operations in flight; the random numbers are a fixed sequence,
/// so that a run can be repeated.
fn distribute(scenario: &Value) -> Result<(), String> {
    let snapshot = snapshot(&scenario["topology_description"], DEFAULT_HEARTBEAT);
    let mut busy = BTreeMap::new();
    for state in list(&scenario["mocked_topology_state"]) {
        let count = state["operation_count"].as_u64().expect("a count") as usize;
        busy.insert(address(&state["address"]), count);
    }
    let criteria = Criteria::Read(Arc::new(ReadPreference::new(ReadMode::Nearest)));
    let found = suitable(&snapshot, &criteria, &[]).map_err(|error| error.to_string())?;
    let near = in_latency_window(found, LOCAL_THRESHOLD);
    let state = Cell::new(0x2545_F491_4F6C_DD1D_u64);
    let mut random = |below: usize| {
        // xorshift64: enough for an even spread.
        let mut next = state.get();
        next ^= next << 13;
        next ^= next >> 7;
        next ^= next << 17;
        state.set(next);
        (next % below as u64) as usize
    };
    let iterations = scenario["iterations"].as_u64().expect("a count");
    let mut counts: BTreeMap<Address, u64> = BTreeMap::new();
    for _ in 0..iterations {
        let chosen =
            pick(&near, |address| busy[address], &mut random).ok_or("nothing was picked")?;
        *counts.entry(chosen.address.clone()).or_default() += 1;
    }
    let outcome = &scenario["outcome"];
    let tolerance = outcome["tolerance"].as_f64().expect("a tolerance");
    for (text, expected) in outcome["expected_frequencies"].as_object().expect("frequencies") {
        let count =
            counts.get(&Address::parse(text).expect("an address")).copied().unwrap_or_default();
        let frequency = count as f64 / iterations as f64;
        let expected = expected.as_f64().expect("a frequency");
        // Zero and one are promises, the rest is chance.
        let allowed = if expected == 0.0 || expected == 1.0 { 0.0 } else { tolerance };
        if (frequency - expected).abs() > allowed {
            return Err(format!(
                "{text} was picked with frequency {frequency}, expected {expected}"
            ));
        }
    }
    Ok(())
}

fn average(scenario: &Value) -> Result<(), String> {
    let milliseconds =
        |value: &Value| value.as_f64().map(|number| Duration::from_secs_f64(number / 1000.0));
    let before = milliseconds(&scenario["avg_rtt_ms"]);
    let sample = milliseconds(&scenario["new_rtt_ms"]).expect("a sample");
    let expected = milliseconds(&scenario["new_avg_rtt"]).expect("an average");
    let found = average_round_trip(before, sample);
    let near = found.abs_diff(expected) < Duration::from_micros(1);
    if near { Ok(()) } else { Err(format!("the average is {found:?}, expected {expected:?}")) }
}

fn snapshot(description: &Value, heartbeat_frequency: Duration) -> Snapshot {
    let start = Instant::now();
    let servers: Vec<_> =
        list(&description["servers"]).iter().map(|value| server(value, start)).collect();
    let settings = TopologySettings {
        id: ObjectId::new(),
        seeds: servers.iter().map(|server| server.address.clone()).collect(),
        replica_set: None,
        direct_connection: false,
        load_balanced: false,
        heartbeat_frequency,
    };
    let mut snapshot = Snapshot::new(Arc::new(settings));
    snapshot.kind = kind(string(&description["type"]));
    for server in servers {
        snapshot.servers.insert(server.address.clone(), server);
    }
    snapshot
}

fn server(value: &Value, start: Instant) -> ServerDescription {
    let mut server = ServerDescription::unknown(address(&value["address"]));
    server.kind = server_type(string(&value["type"]));
    let milliseconds = |number: f64| Duration::from_secs_f64(number / 1000.0);
    server.round_trip_time = value["avg_rtt_ms"].as_f64().map(milliseconds);
    server.last_update_time =
        value["lastUpdateTime"].as_f64().map(|time| start + milliseconds(time));
    let written = scenarios::bson(&value["lastWrite"]["lastWriteDate"]).as_i64();
    server.last_write_date = written.map(bson::DateTime::from_millis);
    server.max_wire_version =
        value["maxWireVersion"].as_i64().map_or(MAX_WIRE_VERSION, |version| version as i32);
    if let Some(tags) = value["tags"].as_object() {
        server.tags =
            tags.iter().map(|(name, value)| (name.clone(), string(value).to_owned())).collect();
    }
    server
}

fn read_preference(value: &Value) -> ReadPreference {
    let mode = value["mode"].as_str().map(|name| ReadMode::from_name(name).expect("a mode"));
    let mut preference = ReadPreference::new(mode.unwrap_or_default());
    for tags in list(&value["tag_sets"]) {
        let tags = tags.as_object().expect("a tag set").iter();
        preference
            .tag_sets
            .push(tags.map(|(name, value)| (name.clone(), string(value).to_owned())).collect());
    }
    preference.max_staleness = value["maxStalenessSeconds"].as_u64().map(Duration::from_secs);
    preference
}

fn names(servers: &[&ServerDescription]) -> Vec<Address> {
    let mut names: Vec<Address> = servers.iter().map(|server| server.address.clone()).collect();
    names.sort();
    names
}

fn addresses(servers: &Value) -> Vec<Address> {
    let mut addresses: Vec<Address> =
        list(servers).iter().map(|server| address(&server["address"])).collect();
    addresses.sort();
    addresses
}

fn address(value: &Value) -> Address {
    Address::parse(string(value)).expect("an address")
}

fn kind(name: &str) -> TopologyKind {
    use TopologyKind::*;
    [Single, ReplicaSetNoPrimary, ReplicaSetWithPrimary, Sharded, Unknown, LoadBalanced]
        .into_iter()
        .find(|kind| kind.name() == name)
        .unwrap_or_else(|| panic!("not a topology type: {name}"))
}

/// PossiblePrimary is a hint for drivers with one thread; others know such a server as Unknown.
fn server_type(name: &str) -> ServerType {
    use ServerType::*;
    [Mongos, RSPrimary, RSSecondary, RSArbiter, RSOther, RSGhost, Standalone, LoadBalancer]
        .into_iter()
        .find(|kind| kind.name() == name)
        .unwrap_or(Unknown)
}

const DEFAULT_HEARTBEAT: Duration = Duration::from_secs(10);
const LOCAL_THRESHOLD: Duration = Duration::from_millis(15);
