//! A read preference as a value, and when and how it is sent to a server.

use std::time::Duration;

use bson::{RawDocumentBuf, rawdoc};

use super::server::ServerType;
use super::snapshot::TopologyKind;

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
