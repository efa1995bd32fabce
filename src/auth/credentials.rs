//! Who a client is, and how it proves it. Nothing here can be printed with its secrets.

use std::fmt;

use zeroize::Zeroizing;

pub struct Credentials {
    /// `None`: the better one of what the server offers for this user.
    pub mechanism: Option<Mechanism>,
    /// The database that knows the user.
    pub source: String,
    /// X.509 servers can take the name from the certificate.
    pub user: Option<String>,
    /// Wiped when dropped; empty where the mechanism has none.
    pub password: Zeroizing<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mechanism {
    ScramSha1,
    ScramSha256,
    X509,
    Plain,
}

impl Mechanism {
    /// `None` for a mechanism that ferromongo does not speak.
    pub fn named(name: &str) -> Option<Mechanism> {
        use Mechanism::*;
        [ScramSha1, ScramSha256, X509, Plain].into_iter().find(|known| known.name() == name)
    }

    pub fn name(self) -> &'static str {
        match self {
            Mechanism::ScramSha1 => "SCRAM-SHA-1",
            Mechanism::ScramSha256 => "SCRAM-SHA-256",
            Mechanism::X509 => "MONGODB-X509",
            Mechanism::Plain => "PLAIN",
        }
    }
}

impl Credentials {
    pub fn user(&self) -> &str {
        self.user.as_deref().unwrap_or_default()
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Credentials")
            .field("mechanism", &self.mechanism)
            .field("source", &self.source)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_user_nor_password_can_be_printed() {
        let credentials = Credentials {
            mechanism: Some(Mechanism::Plain),
            source: "admin".to_owned(),
            user: Some("mathilda".to_owned()),
            password: Zeroizing::new("s3cret".to_owned()),
        };
        let printed = format!("{credentials:?} {credentials:#?}");
        assert!(printed.contains("admin"));
        assert!(!printed.contains("mathilda") && !printed.contains("s3cret"));
    }
}
