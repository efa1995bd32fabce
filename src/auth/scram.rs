//! SCRAM (RFC 5802, RFC 7677) from the client's side, as MongoDB speaks it: no channel binding.
//!
//! Both sides prove that they know the salted password without sending it. Making the keys of it is
//! slow on purpose; it is asked for by a `Recipe`, so that somebody else decides where and how often.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit, Mac};
use md5::{Digest, Md5};
use sha1::Sha1;
use sha2::Sha256;
use zeroize::Zeroizing;

use super::credentials::Credentials;
use crate::error::{Error, Kind, Result};

/// Random bytes of the client's nonce.
pub type Entropy = [u8; 24];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hash {
    Sha1,
    Sha256,
}

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

/// What keys are made of, besides the password. Servers keep it for as long as the password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipe {
    hash: Hash,
    salt: Vec<u8>,
    iterations: u32,
}

#[derive(Clone)]
pub struct Keys {
    client: Zeroizing<Vec<u8>>,
    server: Zeroizing<Vec<u8>>,
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

impl Recipe {
    #[cfg(test)]
    pub fn iterate(&mut self, iterations: u32) {
        self.iterations = iterations;
    }

    /// Takes many milliseconds, or minutes if the server chooses so; `is_wanted` is called regularly.
    /// `None` once it returns false.
    pub fn keys(
        &self,
        credentials: &Credentials,
        is_wanted: impl Fn() -> bool,
    ) -> Option<Result<Keys>> {
        let secret = match self.hash.secret(credentials) {
            Ok(secret) => secret,
            Err(error) => return Some(Err(error)),
        };
        let salted = self.hash.salted(secret.as_bytes(), &self.salt, self.iterations, is_wanted)?;
        let key = |name: &[u8]| Zeroizing::new(self.hash.hmac(&salted, name));
        Some(Ok(Keys { client: key(b"Client Key"), server: key(b"Server Key") }))
    }
}

impl Hash {
    /// The password as it is salted: for SHA-256 prepared, so that its spelling does not matter;
    /// for SHA-1 digested in the way of MongoDB's older mechanism.
    fn secret(self, credentials: &Credentials) -> Result<Zeroizing<String>> {
        let password = credentials.password.as_str();
        let secret = match self {
            Hash::Sha1 if password.is_empty() => String::new(),
            Hash::Sha1 => {
                let text = Zeroizing::new(format!("{}:mongo:{password}", credentials.user()));
                let digest = Md5::digest(text.as_bytes());
                digest.iter().map(|byte| format!("{byte:02x}")).collect()
            }
            Hash::Sha256 => stringprep::saslprep(password)
                .map_err(|_| Error::new(Kind::InvalidValue, FORBIDDEN_PASSWORD))?
                .into_owned(),
        };
        match secret.is_empty() {
            true => Err(Error::new(Kind::InvalidValue, "password can't be empty")),
            false => Ok(Zeroizing::new(secret)),
        }
    }

    fn salted(
        self,
        secret: &[u8],
        salt: &[u8],
        iterations: u32,
        is_wanted: impl Fn() -> bool,
    ) -> Option<Zeroizing<Vec<u8>>> {
        match self {
            Hash::Sha1 => one_block::<Hmac<Sha1>>(secret, salt, iterations, is_wanted),
            Hash::Sha256 => one_block::<Hmac<Sha256>>(secret, salt, iterations, is_wanted),
        }
    }

    fn digest(self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Hash::Sha1 => Sha1::digest(bytes).to_vec(),
            Hash::Sha256 => Sha256::digest(bytes).to_vec(),
        }
    }

    fn hmac(self, key: &[u8], text: &[u8]) -> Vec<u8> {
        match self {
            Hash::Sha1 => mac::<Hmac<Sha1>>(key, text).finalize().into_bytes().to_vec(),
            Hash::Sha256 => mac::<Hmac<Sha256>>(key, text).finalize().into_bytes().to_vec(),
        }
    }

    /// In constant time.
    fn verifies(self, key: &[u8], text: &[u8], signature: &[u8]) -> bool {
        match self {
            Hash::Sha1 => mac::<Hmac<Sha1>>(key, text).verify_slice(signature).is_ok(),
            Hash::Sha256 => mac::<Hmac<Sha256>>(key, text).verify_slice(signature).is_ok(),
        }
    }
}

fn mac<M: Mac + KeyInit>(key: &[u8], text: &[u8]) -> M {
    let mut mac = <M as KeyInit>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(text);
    mac
}

/// The first block of PBKDF2 (RFC 8018, section 5.2), which is all that SCRAM takes. The crate of that
/// name cannot be interrupted.
fn one_block<M: Mac + KeyInit + Clone>(
    secret: &[u8],
    salt: &[u8],
    iterations: u32,
    is_wanted: impl Fn() -> bool,
) -> Option<Zeroizing<Vec<u8>>> {
    let keyed = <M as KeyInit>::new_from_slice(secret).expect("HMAC takes keys of any length");
    let round = |text: &[&[u8]]| {
        let mut mac = keyed.clone();
        text.iter().for_each(|part| mac.update(part));
        mac.finalize().into_bytes()
    };
    let mut latest = round(&[salt, &1_u32.to_be_bytes()]);
    let mut block = Zeroizing::new(latest.to_vec());
    for done in 1..iterations {
        if done % ROUNDS_BETWEEN_LOOKS == 0 && !is_wanted() {
            return None;
        }
        latest = round(&[&latest]);
        block.iter_mut().zip(&latest).for_each(|(sum, byte)| *sum ^= byte);
    }
    Some(block)
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
/// Some milliseconds.
const ROUNDS_BETWEEN_LOOKS: u32 = 8192;
const FORBIDDEN_PASSWORD: &str = "SASLprep: failed prohibited character check";

#[cfg(test)]
mod tests {
    use super::*;

    fn credentials(user: &str, password: &str) -> Credentials {
        Credentials {
            mechanism: None,
            source: "admin".to_owned(),
            user: Some(user.to_owned()),
            password: Zeroizing::new(password.to_owned()),
        }
    }

    /// One whole exchange with known messages.
    fn replay(hash: Hash, nonce: &str, secret: &str, [first, answer, last, proof]: [&str; 4]) {
        let mut scram = Scram::with_nonce(hash, "user", nonce.to_owned());
        assert_eq!(scram.client_first(), first);
        let recipe = scram.server_first(answer.as_bytes()).unwrap();
        let (salt, iterations) = (&recipe.salt, recipe.iterations);
        let salted = hash.salted(secret.as_bytes(), salt, iterations, || true).unwrap();
        let key = |name: &[u8]| Zeroizing::new(hash.hmac(&salted, name));
        let keys = Keys { client: key(b"Client Key"), server: key(b"Server Key") };
        assert_eq!(scram.client_final(keys), last);
        scram.server_final(proof.as_bytes()).unwrap();
        let forged = format!("v={}", BASE64.encode(vec![0; salted.len()]));
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
        let secret = Hash::Sha1.secret(&credentials("user", "pencil")).unwrap();
        assert_eq!(secret.as_str(), "1c33006ec1ffd90f9cadcbcc0e118200");
        replay(
            Hash::Sha1,
            "fyko+d2lbbFgONRv9qkxdawL",
            &secret,
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
    fn names_are_escaped_and_passwords_prepared() {
        let scram = Scram::with_nonce(Hash::Sha1, "a=b,c", "n".to_owned());
        assert_eq!(scram.client_first(), "n,,n=a=3Db=2Cc,r=n");
        let secret = |password| Hash::Sha256.secret(&credentials("u", password));
        // RFC 4013, section 3, and the users of MongoDB's specification.
        for (given, prepared) in [
            ("I\u{ad}X", "IX"),
            ("user", "user"),
            ("USER", "USER"),
            ("\u{aa}", "a"),
            ("\u{2168}", "IX"),
            ("I\u{a0}X", "I X"),
            ("\u{2163}", "IV"),
        ] {
            assert_eq!(secret(given).unwrap().as_str(), prepared);
        }
        for forbidden in ["\u{7}", "\u{627}\u{31}", "", "\u{ad}"] {
            assert_eq!(secret(forbidden).unwrap_err().kind(), Kind::InvalidValue);
        }
        assert!(Hash::Sha1.secret(&credentials("u", "")).is_err());
    }

    #[test]
    fn salting_is_pbkdf2() {
        for (hash, iterations) in [(Hash::Sha1, 1), (Hash::Sha1, 4097), (Hash::Sha256, 20_000)] {
            for (secret, salt) in [("", ""), ("pencil", "salt"), (&*"p".repeat(200), "s")] {
                let (secret, salt) = (secret.as_bytes(), salt.as_bytes());
                let ours = hash.salted(secret, salt, iterations, || true).unwrap();
                let mut theirs = vec![0; ours.len()];
                match hash {
                    Hash::Sha1 => {
                        pbkdf2::pbkdf2::<Hmac<Sha1>>(secret, salt, iterations, &mut theirs)
                    }
                    Hash::Sha256 => {
                        pbkdf2::pbkdf2::<Hmac<Sha256>>(secret, salt, iterations, &mut theirs)
                    }
                }
                .unwrap();
                assert_eq!(*ours, theirs);
            }
        }
    }

    #[test]
    fn deriving_unwanted_keys_stops() {
        let recipe = Recipe { hash: Hash::Sha256, salt: vec![1], iterations: MOST_ITERATIONS };
        let looks = std::cell::Cell::new(0);
        let is_wanted = || looks.replace(looks.get() + 1) < 3;
        assert!(recipe.keys(&credentials("u", "p"), is_wanted).is_none());
        assert_eq!(looks.get(), 4);
    }

    #[test]
    fn keys_differ_by_salt_count_and_hash() {
        let base = Recipe { hash: Hash::Sha256, salt: vec![1; 16], iterations: 4096 };
        let keys = |recipe: &Recipe| {
            let keys = recipe.keys(&credentials("u", "p"), || true).unwrap().unwrap();
            keys.client.to_vec()
        };
        let others = [
            Recipe { salt: vec![2; 16], ..base.clone() },
            Recipe { iterations: 4097, ..base.clone() },
            Recipe { hash: Hash::Sha1, ..base.clone() },
        ];
        assert_eq!(keys(&base), keys(&base.clone()));
        for other in others {
            assert_ne!(keys(&base), keys(&other));
        }
    }
}
