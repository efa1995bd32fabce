//! The kinds of operations in a client's bulk write.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OperationKind {
    Insert,
    Update,
    Replace,
    Delete,
}

impl OperationKind {
    const ALL: [OperationKind; 4] = [
        OperationKind::Insert,
        OperationKind::Update,
        OperationKind::Replace,
        OperationKind::Delete,
    ];

    pub fn of(name: &str) -> Option<OperationKind> {
        OperationKind::ALL.into_iter().find(|kind| kind.name() == name)
    }

    pub fn name(self) -> &'static str {
        match self {
            OperationKind::Insert => "insert",
            OperationKind::Update => "update",
            OperationKind::Replace => "replace",
            OperationKind::Delete => "delete",
        }
    }

    /// The first field of its document, which holds the place of the namespace.
    pub fn field(self) -> &'static str {
        match self {
            OperationKind::Replace => OperationKind::Update.name(),
            other => other.name(),
        }
    }

    /// The field with what becomes the stored document as it is.
    pub fn stored_field(self) -> Option<&'static str> {
        match self {
            OperationKind::Insert => Some("document"),
            OperationKind::Replace => Some("updateMods"),
            OperationKind::Update | OperationKind::Delete => None,
        }
    }
}
