//! Secrets of a sale: random text from outside, and what belongs into each Secret.

use std::fmt;

/// A secret text. It isn't shown, compared in the open or serialized.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretText(String);

impl SecretText {
    /// Wraps it.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself; only for writing it into a Secret or logging in with it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretText(…)")
    }
}

/// Fresh secrets for a sale that has none yet. They are made anew for each observation and used only where a
/// Secret is still missing, so what is there is never replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Minted {
    /// What the sale's processes prove to each other that they know: 64 hexadecimal digits.
    pub link: SecretText,
    /// What signs tickets: 64 hexadecimal digits.
    pub tickets: SecretText,
    /// What signs payment callbacks of a sale that names no Secret for it: 64 hexadecimal digits.
    pub payments: SecretText,
    /// The sidecars' password at Redis: 64 hexadecimal digits.
    pub redis: SecretText,
    /// The sale's password at each database, in the class' order: 64 hexadecimal digits.
    pub databases: Vec<SecretText>,
}

impl Minted {
    /// Secrets from `random`, which is asked for 32 bytes from a cryptographic source again and again.
    #[must_use]
    pub fn from_random(databases: usize, mut random: impl FnMut() -> [u8; 32]) -> Self {
        let mut next = || SecretText(random().iter().map(|byte| format!("{byte:02x}")).collect());
        Self {
            link: next(),
            tickets: next(),
            payments: next(),
            redis: next(),
            databases: (0..databases).map(|_| next()).collect(),
        }
    }
}

/// A Secret that has to be there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretWanted {
    /// Its name.
    pub name: String,
    /// The Secret without its data: metadata with labels and owner.
    pub object: serde_json::Value,
    /// What it holds, by key.
    pub entries: Vec<(String, SecretEntry)>,
}

/// What a key of a Secret holds. What needs the class' own credentials is put together by whoever has them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretEntry {
    /// This text.
    Text(SecretText),
    /// The address of a database of the class, with this user and password instead of the operator's.
    DatabaseUrl {
        /// The database's name in the class.
        database: String,
        /// The sale's own user.
        user: String,
        /// Its password.
        password: SecretText,
    },
    /// The address of a database of the class as the class' shared Secret has it (key `<database>`).
    SharedDatabaseUrl {
        /// The database's name in the class.
        database: String,
    },
    /// A token that may write to the sale's namespace of the order log and nowhere else.
    MintedLogToken,
    /// The token for the order log of the class' shared Secret (key `token`); missing there, the class' own.
    SharedLogToken,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_never_shown() {
        let mut byte = 0;
        let minted = Minted::from_random(2, || {
            byte += 1;
            [byte; 32]
        });
        assert_eq!(minted.databases[1].reveal(), "06".repeat(32));
        let shown = format!("{minted:?}");
        assert!(!shown.contains("0101") && !shown.contains("0606"), "{shown}");
    }
}
