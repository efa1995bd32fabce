//! SCRAM (RFC 5802, RFC 7677) from the client's side, as MongoDB speaks it: no channel binding.
//!
//! Both sides prove that they know the salted password without sending it. Making the keys of it is
//! slow on purpose; it is asked for by a `Recipe`, so that somebody else decides where and how often.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::scram_keys::{Hash, Keys, Recipe};
use crate::error::{Error, Result};

/// Random bytes of the client's nonce.
pub type Entropy = [u8; 24];

/// One exchange. The four messages come in the order of the methods.
pub struct Scram {
    hash: Hash,
    nonce: String,
    first_bare: String,
    server_first: String,
    server_nonce: String,
    /// What the server's signature is checked with.
    expected: Option<(Keys, String)>,
}

impl Scram {
    pub fn new(hash: Hash, user: &str, entropy: &Entropy) -> Scram {
        Scram::with_nonce(hash, user, BASE64.encode(entropy))
    }

    fn with_nonce(hash: Hash, user: &str, nonce: String) -> Scram {
        let user = user.replace('=', "=3D").replace(',', "=2C");
        Scram {
            hash,
            first_bare: format!("n={user},r={nonce}"),
            nonce,
            server_first: String::new(),
            server_nonce: String::new(),
            expected: None,
        }
    }

    pub fn client_first(&self) -> String {
        format!("n,,{}", self.first_bare)
    }

    pub fn server_first(&mut self, payload: &[u8]) -> Result<Recipe> {
        let text = std::str::from_utf8(payload).map_err(|_| unreadable())?;
        // RFC 5802, section 5.1: the order is fixed, optional extensions may follow, and "m" stands for
        // a mandatory extension, of which none is supported.
        let mut parts = text.split(',');
        if parts.clone().any(|part| part.starts_with("m=")) {
            return Err(Error::authentication(
                "Server requires a SCRAM extension that is not supported.",
            ));
        }
        let nonce = attribute(parts.next(), "r=")?;
        // Equal nonces would mean that the server added nothing of its own.
        if !nonce.starts_with(&self.nonce) || nonce.len() == self.nonce.len() {
            return Err(Error::authentication("Server returned an invalid nonce."));
        }
        let salt = BASE64.decode(attribute(parts.next(), "s=")?).map_err(|_| unreadable())?;
        let iterations = attribute(parts.next(), "i=")?.parse().unwrap_or(0);
        if !(FEWEST_ITERATIONS..=MOST_ITERATIONS).contains(&iterations) {
            return Err(Error::authentication("Server returned an invalid iteration count."));
        }
        self.server_nonce = nonce.to_owned();
        self.server_first = text.to_owned();
        Ok(Recipe { hash: self.hash, salt, iterations })
    }

    pub fn client_final(&mut self, keys: Keys) -> String {
        // "biws" is "n,,": no channel binding.
        let without_proof = format!("c=biws,r={}", self.server_nonce);
        let said = format!("{},{},{without_proof}", self.first_bare, self.server_first);
        let stored_key = self.hash.digest(&keys.client);
        let signature = self.hash.hmac(&stored_key, said.as_bytes());
        let proof: Vec<u8> = keys.client.iter().zip(&signature).map(|(a, b)| a ^ b).collect();
        self.expected = Some((keys, said));
        format!("{without_proof},p={}", BASE64.encode(proof))
    }

    /// The server must know the keys too.
    pub fn server_final(&self, payload: &[u8]) -> Result<()> {
        let text = std::str::from_utf8(payload).map_err(|_| unreadable())?;
        let signature = BASE64.decode(attribute(text.split(',').next(), "v=")?).unwrap_or_default();
        match &self.expected {
            Some((keys, said)) if self.hash.verifies(&keys.server, said.as_bytes(), &signature) => {
                Ok(())
            }
            _ => Err(Error::authentication("Server returned an invalid signature.")),
        }
    }
}

fn attribute<'a>(part: Option<&'a str>, name: &str) -> Result<&'a str> {
    part.and_then(|part| part.strip_prefix(name)).ok_or_else(unreadable)
}

fn unreadable() -> Error {
    Error::authentication("The server's SCRAM message is malformed.")
}

/// Fewer would make the password cheap to guess for whoever asked for them.
const FEWEST_ITERATIONS: u32 = 4096;
/// About a minute of work, which ends early if no connection waits for it. Servers use 15,000.
const MOST_ITERATIONS: u32 = 100_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    /// One whole exchange with known messages.
    fn replay(hash: Hash, nonce: &str, secret: &str, [first, answer, last, proof]: [&str; 4]) {
        let mut scram = Scram::with_nonce(hash, "user", nonce.to_owned());
        assert_eq!(scram.client_first(), first);
        let recipe = scram.server_first(answer.as_bytes()).unwrap();
        let keys = recipe.keys_of(secret, || true).unwrap();
        let length = keys.server.len();
        assert_eq!(scram.client_final(keys), last);
        scram.server_final(proof.as_bytes()).unwrap();
        let forged = format!("v={}", BASE64.encode(vec![0; length]));
        let (late, extended) = (format!("x=1,{proof}"), format!("m=1,{proof}"));
        for lie in [
            forged.as_str(),
            &late,
            &extended,
            &proof[..proof.len() - 4],
            "v=",
            "v=AAAA",
            "e=other-error",
            "",
        ] {
            assert!(scram.server_final(lie.as_bytes()).is_err(), "{lie}");
        }
    }

    #[test]
    fn the_exchange_of_rfc_5802() {
        replay(
            Hash::Sha1,
            "fyko+d2lbbFgONRv9qkxdawL",
            "pencil",
            [
                "n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL",
                "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096",
                "c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
                "v=rmF9pqV8S7suAoZWja4dJRkFsKQ=",
            ],
        );
    }

    #[test]
    fn the_exchange_of_rfc_7677() {
        replay(
            Hash::Sha256,
            "rOprNGfwEbeRWgbNEkqO",
            "pencil",
            [
                "n,,n=user,r=rOprNGfwEbeRWgbNEkqO",
                "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
                "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                 p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
                "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
            ],
        );
    }

    /// The SHA-1 example of MongoDB's specification: the digested password takes the password's place.
    #[test]
    fn the_exchange_of_mongodbs_specification() {
        replay(
            Hash::Sha1,
            "fyko+d2lbbFgONRv9qkxdawL",
            "1c33006ec1ffd90f9cadcbcc0e118200",
            [
                "n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL",
                "r=fyko+d2lbbFgONRv9qkxdawLHo+Vgk7qvUOKUwuWLIWg4l/9SraGMHEE,\
                 s=rQ9ZY3MntBeuP3E1TDVC4w==,i=10000",
                "c=biws,r=fyko+d2lbbFgONRv9qkxdawLHo+Vgk7qvUOKUwuWLIWg4l/9SraGMHEE,\
                 p=MC2T8BvbmWRckDw8oWl5IVghwCY=",
                "v=UMWeI25JD1yNYZRMpZ4VHvhZ9e0=",
            ],
        );
    }

    #[test]
    fn what_a_server_may_not_say() {
        let ask = |text: &str| {
            Scram::with_nonce(Hash::Sha256, "user", "abc".to_owned()).server_first(text.as_bytes())
        };
        assert!(ask("r=abcd,s=QSXCR+Q6sek8bf92,i=4096").is_ok());
        assert!(ask("r=abcd,s=QSXCR+Q6sek8bf92,i=4096,x=optional").is_ok());
        for (lie, complaint) in [
            ("r=abd,s=QSXCR+Q6sek8bf92,i=4096", "nonce"),
            ("r=abc,s=QSXCR+Q6sek8bf92,i=4096", "nonce"),
            ("r=abcd,s=QSXCR+Q6sek8bf92,i=4095", "iteration count"),
            ("r=abcd,s=QSXCR+Q6sek8bf92,i=-1", "iteration count"),
            ("r=abcd,s=QSXCR+Q6sek8bf92,i=4000000000", "iteration count"),
            ("r=abcd,s=*,i=4096", "is malformed"),
            ("r=abcd,i=4096", "is malformed"),
            ("r=abcd,i=4096,s=QSXCR+Q6sek8bf92", "is malformed"),
            ("s=QSXCR+Q6sek8bf92,r=abcd,i=4096", "is malformed"),
            ("x=1,r=abcd,s=QSXCR+Q6sek8bf92,i=4096", "is malformed"),
            ("r=abd,r=abcd,s=QSXCR+Q6sek8bf92,i=4096", "nonce"),
            ("r=abcd,s=QSXCR+Q6sek8bf92,i=4096x", "iteration count"),
            ("r=abcd,s=QSXCR+Q6sek8bf92,i=", "iteration count"),
            ("m=1,r=abcd,s=QSXCR+Q6sek8bf92,i=4096", "extension"),
            ("r=abcd,m=1,s=QSXCR+Q6sek8bf92,i=4096", "extension"),
            ("r=abcd,s=QSXCR+Q6sek8bf92,i=4096,m=1", "extension"),
            ("ré,é,=,", "is malformed"),
            ("", "is malformed"),
        ] {
            let error = ask(lie).unwrap_err();
            assert!(error.message().contains(complaint), "{lie}: {}", error.message());
        }
    }

    #[test]
    fn names_are_escaped() {
        let scram = Scram::with_nonce(Hash::Sha1, "a=b,c", "n".to_owned());
        assert_eq!(scram.client_first(), "n,,n=a=3Db=2Cc,r=n");
    }
}
