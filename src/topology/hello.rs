//! A hello reply, as bytes, into a `ServerDescription`. A malformed reply is a failed check.

use std::time::{Duration, Instant};

use bson::raw::{RawArray, RawBsonRef, RawDocument};

use super::address::Address;
use super::server::{ServerDescription, ServerType, TopologyVersion};

/// `round_trip_time` is the average with this reply's own time in it, or None when the reply was awaited
/// (its time says nothing); the reducer then keeps the average it has.
pub fn parse(
    address: Address,
    reply: &RawDocument,
    round_trip_time: Option<Duration>,
    now: Instant,
) -> ServerDescription {
    match read(address.clone(), reply) {
        Ok((mut server, flags)) if flags.ok => {
            server.kind = flags.kind();
            server.round_trip_time = round_trip_time;
            server.last_update_time = Some(now);
            server
        }
        Ok((server, flags)) => ServerDescription {
            topology_version: server.topology_version,
            ..ServerDescription::failed(address, flags.failure(), now)
        },
        Err(why) => {
            ServerDescription::failed(address, format!("malformed hello reply: {why}"), now)
        }
    }
}

/// What the server calls the connection on which it answers.
pub fn connection_id(reply: &RawDocument) -> Option<i64> {
    integer(reply.get("connectionId").ok()??)
}

/// `{processId, counter}` as it stands in hello replies and in command errors.
pub fn topology_version(document: &RawDocument) -> Option<TopologyVersion> {
    Some(TopologyVersion {
        process_id: document.get_object_id("processId").ok()?,
        counter: integer(document.get("counter").ok()??)?,
    })
}

/// The fields that together tell a server's type, and why there is none.
#[derive(Default)]
struct Flags<'a> {
    ok: bool,
    writable_primary: bool,
    secondary: bool,
    arbiter_only: bool,
    hidden: bool,
    is_replica_set: bool,
    is_mongos: bool,
    in_set: bool,
    behind_load_balancer: bool,
    errmsg: Option<&'a str>,
}

impl Flags<'_> {
    fn kind(&self) -> ServerType {
        if self.behind_load_balancer {
            ServerType::LoadBalancer
        } else if self.is_replica_set {
            ServerType::RSGhost
        } else if self.in_set {
            match self {
                Flags { hidden: true, .. } => ServerType::RSOther,
                Flags { writable_primary: true, .. } => ServerType::RSPrimary,
                Flags { secondary: true, .. } => ServerType::RSSecondary,
                Flags { arbiter_only: true, .. } => ServerType::RSArbiter,
                _ => ServerType::RSOther,
            }
        } else if self.is_mongos {
            ServerType::Mongos
        } else {
            ServerType::Standalone
        }
    }

    fn failure(&self) -> String {
        match self.errmsg {
            Some(errmsg) => format!("hello failed: {errmsg}"),
            None => "hello failed without a reason given by the server".to_owned(),
        }
    }
}

fn read(address: Address, reply: &RawDocument) -> Result<(ServerDescription, Flags<'_>), String> {
    let mut server = ServerDescription::unknown(address);
    let mut flags = Flags::default();
    for element in reply {
        let (name, value) = element.map_err(|error| error.to_string())?;
        match name.as_str() {
            "ok" => flags.ok = truth(value),
            "isWritablePrimary" | "ismaster" => flags.writable_primary |= truth(value),
            "secondary" => flags.secondary = truth(value),
            "arbiterOnly" => flags.arbiter_only = truth(value),
            "hidden" => flags.hidden = truth(value),
            "isreplicaset" => flags.is_replica_set = truth(value),
            "msg" => flags.is_mongos = value.as_str() == Some("isdbgrid"),
            "serviceId" => {
                server.service_id = value.as_object_id();
                flags.behind_load_balancer = server.service_id.is_some();
            }
            "errmsg" => flags.errmsg = value.as_str(),
            "helloOk" => server.hello_ok = truth(value),
            "setName" => {
                server.set_name = value.as_str().filter(|name| !name.is_empty()).map(str::to_owned);
                flags.in_set = server.set_name.is_some();
            }
            "setVersion" => server.set_version = integer(value),
            "electionId" => server.election_id = value.as_object_id(),
            "primary" => server.primary = member(value)?,
            "me" => server.me = member(value)?,
            "hosts" => server.hosts = members(value)?,
            "passives" => server.passives = members(value)?,
            "arbiters" => server.arbiters = members(value)?,
            "tags" => {
                for tag in value.as_document().into_iter().flatten() {
                    let (name, value) = tag.map_err(|error| error.to_string())?;
                    if let Some(text) = value.as_str() {
                        server.tags.insert(name.as_str().to_owned(), text.to_owned());
                    }
                }
            }
            "minWireVersion" => set(&mut server.min_wire_version, value),
            "maxWireVersion" => set(&mut server.max_wire_version, value),
            "maxBsonObjectSize" => set(&mut server.max_bson_object_size, value),
            "maxMessageSizeBytes" => set(&mut server.max_message_size_bytes, value),
            "maxWriteBatchSize" => set(&mut server.max_write_batch_size, value),
            "logicalSessionTimeoutMinutes" => {
                server.logical_session_timeout_minutes = integer(value)
            }
            "lastWrite" => {
                let date =
                    value.as_document().and_then(|write| write.get_datetime("lastWriteDate").ok());
                server.last_write_date = date;
            }
            "topologyVersion" => {
                server.topology_version = value.as_document().and_then(topology_version)
            }
            _ => {}
        }
    }
    Ok((server, flags))
}

fn members(value: RawBsonRef<'_>) -> Result<Vec<Address>, String> {
    let array = value.as_array().ok_or("a list of members is no list")?;
    let mut addresses = Vec::new();
    for item in <&RawArray>::into_iter(array) {
        if addresses.len() == MOST_MEMBERS {
            return Err(format!("a list of more than {MOST_MEMBERS} members"));
        }
        addresses.extend(member(item.map_err(|error| error.to_string())?)?);
    }
    Ok(addresses)
}

fn member(value: RawBsonRef<'_>) -> Result<Option<Address>, String> {
    match value {
        RawBsonRef::String("") | RawBsonRef::Null => Ok(None),
        RawBsonRef::String(text) => {
            Address::parse(text).map(Some).map_err(|error| error.to_string())
        }
        _ => Err("a member's address is no string".to_owned()),
    }
}

fn set(field: &mut i32, value: RawBsonRef<'_>) {
    if let Some(number) = integer(value) {
        *field = number.clamp(i32::MIN.into(), i32::MAX.into()) as i32;
    }
}

/// Servers are free in their choice of number type.
pub(super) fn integer(value: RawBsonRef<'_>) -> Option<i64> {
    match value {
        RawBsonRef::Int32(number) => Some(number.into()),
        RawBsonRef::Int64(number) => Some(number),
        RawBsonRef::Double(number) if number.fract() == 0.0 => Some(number as i64),
        _ => None,
    }
}

pub(super) fn truth(value: RawBsonRef<'_>) -> bool {
    match value {
        RawBsonRef::Boolean(flag) => flag,
        other => integer(other).is_some_and(|number| number != 0),
    }
}

/// Replica sets have 50 at most. Each would be monitored, so the number is limited.
const MOST_MEMBERS: usize = 256;

#[cfg(test)]
mod tests {
    use bson::oid::ObjectId;
    use bson::{cstr, rawdoc};

    use super::*;

    fn parsed(reply: &RawDocument) -> ServerDescription {
        parse(Address::tcp("a", 27017).unwrap(), reply, None, Instant::now())
    }

    #[test]
    fn a_primary_s_reply_is_read_in_full() {
        let process_id = ObjectId::from_bytes([7; 12]);
        let server = parsed(&rawdoc! {
            "isWritablePrimary": true, "topologyVersion": {"processId": process_id, "counter": 3_i64},
            "hosts": ["A:27017", "[::1]:27018"], "arbiters": ["c:1"], "setName": "rs", "setVersion": 2,
            "electionId": process_id, "me": "A:27017", "primary": "A:27017", "tags": {"dc": "ny"},
            "maxBsonObjectSize": 100, "maxMessageSizeBytes": 200.0, "maxWriteBatchSize": 300_i64,
            "logicalSessionTimeoutMinutes": 30, "minWireVersion": 0, "maxWireVersion": 17,
            "lastWrite": {"lastWriteDate": bson::DateTime::from_millis(5)}, "helloOk": true, "ok": 1.0,
        });
        assert_eq!(server.kind, ServerType::RSPrimary);
        assert_eq!(
            server.hosts,
            [Address::tcp("a", 27017).unwrap(), Address::tcp("::1", 27018).unwrap()]
        );
        assert_eq!(server.all_hosts().count(), 3);
        assert_eq!(server.me, Some(Address::tcp("a", 27017).unwrap()));
        assert_eq!(server.topology_version, Some(TopologyVersion { process_id, counter: 3 }));
        assert_eq!(
            (
                server.max_bson_object_size,
                server.max_message_size_bytes,
                server.max_write_batch_size
            ),
            (100, 200, 300)
        );
        assert_eq!(server.last_write_date, Some(bson::DateTime::from_millis(5)));
        assert_eq!(server.tags.get("dc").map(String::as_str), Some("ny"));
        assert!(server.hello_ok);
    }

    #[test]
    fn the_type_follows_from_the_flags() {
        for (reply, kind) in [
            (rawdoc! {"ok": 1}, ServerType::Standalone),
            (rawdoc! {"ok": 1, "msg": "isdbgrid"}, ServerType::Mongos),
            (rawdoc! {"ok": 1, "isreplicaset": true}, ServerType::RSGhost),
            (rawdoc! {"ok": 1, "setName": "rs", "ismaster": true}, ServerType::RSPrimary),
            (rawdoc! {"ok": 1, "setName": "rs", "secondary": true}, ServerType::RSSecondary),
            (
                rawdoc! {"ok": 1, "setName": "rs", "secondary": true, "hidden": true},
                ServerType::RSOther,
            ),
            (rawdoc! {"ok": 1, "setName": "rs", "arbiterOnly": true}, ServerType::RSArbiter),
            (rawdoc! {"ok": 1, "setName": "rs"}, ServerType::RSOther),
            (
                rawdoc! {"ok": 1, "serviceId": ObjectId::from_bytes([1; 12])},
                ServerType::LoadBalancer,
            ),
            (rawdoc! {"ok": 0, "setName": "rs", "secondary": true}, ServerType::Unknown),
            (rawdoc! {}, ServerType::Unknown),
        ] {
            assert_eq!(parsed(&reply).kind, kind, "{reply:?}");
        }
    }

    #[test]
    fn a_reply_without_sense_is_a_failed_check() {
        let refused = parsed(&rawdoc! {"ok": 0, "errmsg": "no way"});
        assert!(refused.error.unwrap().contains("no way"));
        let lost = parsed(&rawdoc! {"ok": 1, "setName": "rs", "hosts": ["a:nine"]});
        assert_eq!((lost.kind, lost.error.is_some()), (ServerType::Unknown, true));
    }

    #[test]
    fn a_hello_with_a_socket_or_too_many_members_is_malformed() {
        let many: Vec<_> = (0..=MOST_MEMBERS).map(|number| format!("m{number}:1")).collect();
        for hosts in [vec!["x.sock".to_owned()], vec!["/tmp/x.sock".to_owned()], many] {
            let mut list = bson::RawArrayBuf::new();
            hosts.iter().for_each(|host| list.push(host.as_str()));
            let server = parsed(&rawdoc! {"ok": 1, "setName": "rs", "hosts": list});
            assert_eq!((server.kind, server.hosts.len()), (ServerType::Unknown, 0));
        }
        for name in [cstr!("me"), cstr!("primary")] {
            let server = parsed(&rawdoc! {"ok": 1, "setName": "rs", name: "/tmp/x.sock"});
            assert_eq!(server.kind, ServerType::Unknown);
        }
    }

    #[test]
    fn a_deeply_nested_hello_is_read() {
        let mut nested = rawdoc! {};
        for _ in 0..5_000 {
            nested = rawdoc! {"": nested};
        }
        for name in [
            cstr!("x"),
            cstr!("hosts"),
            cstr!("tags"),
            cstr!("lastWrite"),
            cstr!("topologyVersion"),
            cstr!("setName"),
        ] {
            parsed(&rawdoc! {"ok": 1, name: nested.clone()});
        }
    }
}
