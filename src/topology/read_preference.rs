//! A read preference as a value, and when and how it is sent to a server.

use std::borrow::Cow;
use std::time::Duration;

use bson::raw::CStr;
use bson::{RawArrayBuf, RawDocumentBuf};

use super::server::{ServerDescription, ServerType};
use super::snapshot::{Snapshot, TopologyKind};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ReadMode {
    #[default]
    Primary,
    PrimaryPreferred,
    Secondary,
    SecondaryPreferred,
    Nearest,
}

impl ReadMode {
    /// The name as a server knows it.
    pub fn name(self) -> &'static str {
        match self {
            ReadMode::Primary => "primary",
            ReadMode::PrimaryPreferred => "primaryPreferred",
            ReadMode::Secondary => "secondary",
            ReadMode::SecondaryPreferred => "secondaryPreferred",
            ReadMode::Nearest => "nearest",
        }
    }

    /// From a server's name for it, in any case ("Primary" in test files, "primary" on the wire).
    pub fn from_name(name: &str) -> Option<ReadMode> {
        use ReadMode::*;
        [Primary, PrimaryPreferred, Secondary, SecondaryPreferred, Nearest]
            .into_iter()
            .find(|mode| mode.name().eq_ignore_ascii_case(name))
    }
}

/// Names a server must carry, each with its value; an empty set is met by every server.
pub type TagSet = Vec<(String, String)>;

#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReadPreference {
    pub mode: ReadMode,
    /// Tried in order; the first one that some server meets counts. Empty means "any server".
    pub tag_sets: Vec<TagSet>,
    pub max_staleness: Option<Duration>,
    /// The hedge document as given; only passed on.
    pub hedge: Option<RawDocumentBuf>,
}

impl ReadPreference {
    pub fn new(mode: ReadMode) -> ReadPreference {
        ReadPreference { mode, ..ReadPreference::default() }
    }

    /// The `$readPreference` document. Fails on a tag name that BSON cannot hold (a zero byte in it).
    pub fn document(&self) -> Result<RawDocumentBuf, bson::error::Error> {
        let mut document = RawDocumentBuf::new();
        document.append(bson::raw::cstr!("mode"), self.mode.name());
        if self.restricts_tags() {
            let mut sets = RawArrayBuf::new();
            for tags in &self.tag_sets {
                let mut set = RawDocumentBuf::new();
                for (name, value) in tags {
                    set.append(<&CStr>::try_from(name.as_str())?, value.as_str());
                }
                sets.push(set);
            }
            document.append(bson::raw::cstr!("tags"), sets);
        }
        if let Some(max_staleness) = self.max_staleness {
            // Whole seconds are an int32 as PyMongo sends them, unless they do not fit one.
            let key = bson::raw::cstr!("maxStalenessSeconds");
            match i32::try_from(max_staleness.as_secs()) {
                Ok(seconds) => document.append(key, seconds),
                Err(_) => document.append(key, max_staleness.as_secs() as i64),
            }
        }
        if let Some(hedge) = self.hedge.as_ref().filter(|hedge| !hedge.is_empty()) {
            document.append(bson::raw::cstr!("hedge"), hedge);
        }
        Ok(document)
    }

    /// What goes on the wire to this server: None means "send no $readPreference".
    ///
    /// A standalone takes none. A member reached by a direct connection must answer reads whatever its
    /// role, hence primaryPreferred, except in a transaction, where the server checks the preference
    /// the transaction began with. Primary is the server's default and never sent.
    pub fn on_the_wire(
        &self,
        topology: TopologyKind,
        server: ServerType,
        in_transaction: bool,
    ) -> Option<Cow<'_, ReadPreference>> {
        if topology == TopologyKind::Single {
            match server {
                ServerType::Standalone => return None,
                ServerType::Mongos | ServerType::LoadBalancer | ServerType::Unknown => {}
                _member if !in_transaction => return Some(Cow::Owned(PRIMARY_PREFERRED)),
                _ => {}
            }
        }
        (self.mode != ReadMode::Primary).then_some(Cow::Borrowed(self))
    }

    /// An aggregation that ends in $out or $merge may run on a secondary only when every server is 5.0
    /// or newer; otherwise the primary must do it.
    pub fn with_output_stage(&self, snapshot: &Snapshot) -> ReadPreference {
        // Load balancers came with 5.0.
        let old = |server: &ServerDescription| server.max_wire_version < WIRE_VERSION_5_0;
        let monitored = snapshot.kind != TopologyKind::LoadBalanced;
        if monitored && snapshot.known_servers().any(old) {
            ReadPreference::default()
        } else {
            self.clone()
        }
    }

    /// One empty tag set is the same as none.
    fn restricts_tags(&self) -> bool {
        !matches!(self.tag_sets.as_slice(), [] | [_] if self.tag_sets.iter().all(Vec::is_empty))
    }
}

const PRIMARY_PREFERRED: ReadPreference = ReadPreference {
    mode: ReadMode::PrimaryPreferred,
    tag_sets: Vec::new(),
    max_staleness: None,
    hedge: None,
};
const WIRE_VERSION_5_0: i32 = 13;

#[cfg(test)]
mod tests {
    use bson::{Document, doc};

    use super::*;

    fn document(preference: &ReadPreference) -> Document {
        Document::try_from(preference.document().unwrap().as_ref()).unwrap()
    }

    #[test]
    fn the_document_names_only_what_was_asked_for() {
        let mut preference = ReadPreference::new(ReadMode::Nearest);
        preference.tag_sets = vec![vec![]];
        assert_eq!(document(&preference), doc! {"mode": "nearest"});

        preference.tag_sets = vec![vec![("dc".into(), "ny".into())], vec![]];
        preference.max_staleness = Some(Duration::from_secs(120));
        preference.hedge = Some(bson::rawdoc! {"enabled": true});
        assert_eq!(
            document(&preference),
            doc! {"mode": "nearest", "tags": [{"dc": "ny"}, {}], "maxStalenessSeconds": 120, "hedge": {"enabled": true}}
        );

        preference.tag_sets = vec![vec![("a\0b".into(), "c".into())]];
        assert!(preference.document().is_err());
    }

    #[test]
    fn what_is_sent_depends_on_the_topology() {
        let primary = ReadPreference::default();
        let secondary = ReadPreference::new(ReadMode::Secondary);
        let mode = |preference: &ReadPreference, topology, server, in_transaction| {
            preference.on_the_wire(topology, server, in_transaction).map(|sent| sent.mode)
        };
        use ServerType::*;
        use TopologyKind::*;
        assert_eq!(mode(&secondary, Single, Standalone, false), None);
        for preference in [&primary, &secondary] {
            assert_eq!(
                mode(preference, Single, RSSecondary, false),
                Some(ReadMode::PrimaryPreferred)
            );
        }
        assert_eq!(mode(&primary, Single, RSPrimary, true), None);
        for (topology, server) in [
            (Single, Mongos),
            (Sharded, Mongos),
            (ReplicaSetWithPrimary, RSSecondary),
            (LoadBalanced, LoadBalancer),
        ] {
            assert_eq!(mode(&primary, topology, server, false), None);
            assert_eq!(mode(&secondary, topology, server, false), Some(ReadMode::Secondary));
        }
    }
}
