//! The three commands that carry a list of statements.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    Insert,
    Update,
    Delete,
}

impl Verb {
    pub const ALL: [Verb; 3] = [Verb::Insert, Verb::Update, Verb::Delete];

    pub fn name(self) -> &'static str {
        match self {
            Verb::Insert => "insert",
            Verb::Update => "update",
            Verb::Delete => "delete",
        }
    }

    /// What the section with the statements is called.
    pub fn field(self) -> &'static str {
        match self {
            Verb::Insert => "documents",
            Verb::Update => "updates",
            Verb::Delete => "deletes",
        }
    }
}
