//! The keys of SCRAM, which are made of a password: slow on purpose, so that a password is hard to guess.

use hmac::{Hmac, KeyInit, Mac};
use md5::{Digest, Md5};
use sha1::Sha1;
use sha2::Sha256;
use zeroize::Zeroizing;

use super::credentials::Credentials;
use crate::error::{Error, ErrorKind, Result};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hash {
    Sha1,
    Sha256,
}

/// What keys are made of, besides the password. Servers keep it for as long as the password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipe {
    pub(super) hash: Hash,
    pub(super) salt: Vec<u8>,
    pub(super) iterations: u32,
}

#[derive(Clone)]
pub struct Keys {
    pub(super) client: Zeroizing<Vec<u8>>,
    pub(super) server: Zeroizing<Vec<u8>>,
}

impl Recipe {
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
        self.keys_of(&secret, is_wanted).map(Ok)
    }

    /// Of the password as it is salted.
    pub(super) fn keys_of(&self, secret: &str, is_wanted: impl Fn() -> bool) -> Option<Keys> {
        let salted = self.hash.salted(secret.as_bytes(), &self.salt, self.iterations, is_wanted)?;
        let key = |name: &[u8]| Zeroizing::new(self.hash.hmac(&salted, name));
        Some(Keys { client: key(b"Client Key"), server: key(b"Server Key") })
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
                .map_err(|_| Error::new(ErrorKind::InvalidValue, FORBIDDEN_PASSWORD))?
                .into_owned(),
        };
        match secret.is_empty() {
            true => Err(Error::new(ErrorKind::InvalidValue, "password can't be empty")),
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

    pub(super) fn digest(self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Hash::Sha1 => Sha1::digest(bytes).to_vec(),
            Hash::Sha256 => Sha256::digest(bytes).to_vec(),
        }
    }

    pub(super) fn hmac(self, key: &[u8], text: &[u8]) -> Vec<u8> {
        match self {
            Hash::Sha1 => mac::<Hmac<Sha1>>(key, text).finalize().into_bytes().to_vec(),
            Hash::Sha256 => mac::<Hmac<Sha256>>(key, text).finalize().into_bytes().to_vec(),
        }
    }

    /// In constant time.
    pub(super) fn verifies(self, key: &[u8], text: &[u8], signature: &[u8]) -> bool {
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

    #[test]
    fn passwords_are_prepared() {
        // The example of MongoDB's specification.
        let digested = Hash::Sha1.secret(&credentials("user", "pencil")).unwrap();
        assert_eq!(digested.as_str(), "1c33006ec1ffd90f9cadcbcc0e118200");
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
            assert_eq!(secret(forbidden).unwrap_err().kind(), ErrorKind::InvalidValue);
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
        let recipe = Recipe { hash: Hash::Sha256, salt: vec![1], iterations: u32::MAX };
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
