//! A server's address: host and port, or the path of a Unix domain socket.

use std::fmt;
use std::str::FromStr;

/// Host names compare without case in DNS, so `host` is kept in lower case: "A:27017" in a seed list
/// and "a:27017" in a hello reply are one server. A socket path keeps its case and has port 0.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    pub host: String,
    pub port: u16,
}

pub const DEFAULT_PORT: u16 = 27017;

impl Address {
    pub fn new(host: &str, port: u16) -> Address {
        if host.ends_with(".sock") {
            return Address { host: host.to_owned(), port: 0 };
        }
        Address { host: host.to_lowercase(), port }
    }

    /// "host", "host:port", "[ipv6]", "[ipv6]:port" or "/path/to.sock".
    pub fn parse(text: &str) -> Result<Address, InvalidAddress> {
        let invalid = || InvalidAddress(text.to_owned());
        if text.ends_with(".sock") {
            return Ok(Address::new(text, 0));
        }
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
            Some(digits) => digits.parse().ok().filter(|port| *port != 0).ok_or_else(invalid)?,
            None => DEFAULT_PORT,
        };
        if host.is_empty() {
            return Err(invalid());
        }
        Ok(Address::new(host, port))
    }

    pub fn is_unix_socket(&self) -> bool {
        self.port == 0
    }
}

impl fmt::Display for Address {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_unix_socket() {
            out.write_str(&self.host)
        } else if self.host.contains(':') {
            write!(out, "[{}]:{}", self.host, self.port)
        } else {
            write!(out, "{}:{}", self.host, self.port)
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
#[error("not a server address: {0:?}")]
pub struct InvalidAddress(pub String);

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
            ("/tmp/MongoDB-27017.sock", "/tmp/MongoDB-27017.sock", 0, "/tmp/MongoDB-27017.sock"),
        ] {
            let address = Address::parse(text).unwrap();
            assert_eq!((address.host.as_str(), address.port), (host, port), "{text}");
            assert_eq!(address.to_string(), shown);
            assert_eq!(Address::parse(shown), Ok(address));
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["", ":27017", "a:", "a:0", "a:65536", "a:-1", "[::1", "[::1]x", "[]:1"] {
            assert_eq!(Address::parse(text), Err(InvalidAddress(text.to_owned())));
        }
    }
}
