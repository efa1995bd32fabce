//! A server's address: host and port, or the path of a Unix domain socket.
//!
//! Where an address comes from decides what it may be. Only the user can name a socket
//! (`Address::from_user`). An address from a server or from DNS (`Address::parse`, `Address::tcp`) is a
//! host and a port: the network must not choose a path on this machine, nor a way around TLS.

use std::fmt;
use std::str::FromStr;

/// Host names compare without case in DNS, so `host` is kept in lower case: "A:27017" in a seed list
/// and "a:27017" in a hello reply are one server. A socket path keeps its case and has no port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    pub host: String,
    /// As the user gave it: one that no server can have finds none, as in PyMongo.
    pub port: Option<i64>,
}

pub const DEFAULT_PORT: u16 = 27017;

impl Address {
    /// A seed as PyMongo's parser has read it: what ends in ".sock" is a path.
    pub fn from_user(host: &str, port: Option<i64>) -> Result<Address, InvalidAddress> {
        if host.ends_with(SOCKET) {
            return Ok(Address { host: host.to_owned(), port: None });
        }
        if host.is_empty() {
            return Err(InvalidAddress(host.to_owned()));
        }
        Ok(Address { host: host.to_lowercase(), port: port.or(Some(DEFAULT_PORT.into())) })
    }

    /// Never a socket.
    pub fn tcp(host: &str, port: u16) -> Result<Address, InvalidAddress> {
        // In replica set configurations such a name is a path, and PyMongo takes it for one.
        if host.is_empty() || port == 0 || host.ends_with(SOCKET) {
            return Err(InvalidAddress(format!("{host}:{port}")));
        }
        Ok(Address { host: host.to_lowercase(), port: Some(port.into()) })
    }

    /// An address in a hello reply: "host", "host:port", "[ipv6]" or "[ipv6]:port".
    pub fn parse(text: &str) -> Result<Address, InvalidAddress> {
        let invalid = || InvalidAddress(text.to_owned());
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (host, after) = rest.split_once(']').ok_or_else(invalid)?;
                match after.strip_prefix(':') {
                    Some(port) => (host, Some(port)),
                    None if after.is_empty() => (host, None),
                    None => return Err(invalid()),
                }
            }
            // A bare IPv6 address has several colons and no port of its own.
            None if text.matches(':').count() > 1 => (text, None),
            None => match text.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (text, None),
            },
        };
        let port = match port {
            // Of digits only: `parse` would take a sign too.
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                digits.parse().map_err(|_| invalid())?
            }
            Some(_) => return Err(invalid()),
            None => DEFAULT_PORT,
        };
        Address::tcp(host, port).map_err(|_| invalid())
    }

    pub fn is_unix_socket(&self) -> bool {
        self.port.is_none()
    }

    /// `None` for a socket, and for a number that is no port.
    pub fn tcp_port(&self) -> Option<u16> {
        self.port.and_then(|port| u16::try_from(port).ok()).filter(|&port| port != 0)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            None => out.write_str(&self.host),
            Some(port) if self.host.contains(':') => write!(out, "[{}]:{port}", self.host),
            Some(port) => write!(out, "{}:{port}", self.host),
        }
    }
}

impl FromStr for Address {
    type Err = InvalidAddress;

    fn from_str(text: &str) -> Result<Address, InvalidAddress> {
        Address::parse(text)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a server's host and port: {0:?}")]
pub struct InvalidAddress(pub String);

const SOCKET: &str = ".sock";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_an_address_is_read_and_written_back() {
        for (text, host, port, shown) in [
            ("Example.COM", "example.com", 27017, "example.com:27017"),
            ("a:1", "a", 1, "a:1"),
            ("[::1]", "::1", 27017, "[::1]:27017"),
            ("[FE80::1]:28000", "fe80::1", 28000, "[fe80::1]:28000"),
            ("::1", "::1", 27017, "[::1]:27017"),
        ] {
            let address = Address::parse(text).unwrap();
            assert_eq!((address.host.as_str(), address.port), (host, Some(port)), "{text}");
            assert_eq!(address.to_string(), shown);
            assert_eq!(Address::parse(shown), Ok(address));
        }
    }

    #[test]
    fn malformed_addresses_are_refused() {
        for text in ["", ":27017", "a:", "a:0", "a:65536", "a:-1", "a:+1", "[::1", "[::1]x", "[]:1"]
        {
            assert_eq!(Address::parse(text), Err(InvalidAddress(text.to_owned())));
        }
    }

    #[test]
    fn only_the_user_names_a_socket() {
        let path = "/tmp/MongoDB-27017.sock";
        let socket = Address::from_user(path, None).unwrap();
        assert!(socket.is_unix_socket());
        assert_eq!(socket.to_string(), path);
        for text in [path, "x.sock", "x.sock:27017", "x.sock:0", "[x.sock]:1", "h:0"] {
            assert!(Address::parse(text).is_err(), "{text}");
        }
        for (host, port) in [("x.sock", 27017), (path, 1), ("h", 0), ("", 1)] {
            assert!(Address::tcp(host, port).is_err(), "{host}:{port}");
        }
        for port in [0, -1, 65536] {
            let nowhere = Address::from_user("h", Some(port)).unwrap();
            assert!(!nowhere.is_unix_socket());
            assert_eq!((nowhere.tcp_port(), nowhere.to_string()), (None, format!("h:{port}")));
        }
        assert!(Address::from_user("", Some(1)).is_err());
    }
}
