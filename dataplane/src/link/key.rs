//! The key that all processes of a sale know.

use std::fmt;
use std::path::Path;

/// The least bytes of a key's text.
const TEXT_BYTES_MIN: usize = 32;

/// Proves to the other side of a link that this process belongs to the sale. Never shown.
#[derive(Clone)]
pub struct LinkKey([u8; 32]);

impl fmt::Debug for LinkKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LinkKey(redacted)")
    }
}

/// Why a file holds no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// It can't be read.
    #[error("{path}: can't read it ({source})")]
    Io {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// It could be guessed.
    #[error(
        "{path}: the key has {bytes} bytes; write at least {TEXT_BYTES_MIN} random ones, such as 64 hexadecimal digits"
    )]
    Weak {
        /// The file.
        path: String,
        /// How many it has.
        bytes: usize,
    },
}

impl LinkKey {
    /// The key in a file: text of at least 32 bytes; blanks around it don't count.
    ///
    /// # Errors
    /// See [`KeyError`].
    pub fn read(file: &Path) -> Result<Self, KeyError> {
        let path = || file.display().to_string();
        let text = std::fs::read(file).map_err(|source| KeyError::Io { path: path(), source })?;
        let text = text.trim_ascii();
        if text.len() < TEXT_BYTES_MIN {
            return Err(KeyError::Weak {
                path: path(),
                bytes: text.len(),
            });
        }
        Ok(Self::new(text))
    }

    /// The key made of a secret text.
    #[must_use]
    pub fn new(text: &[u8]) -> Self {
        Self(blake3::derive_key("flashsale link key", text))
    }

    /// What only somebody with the key can say of `about`. Comparing two takes the same time whatever differs.
    pub(super) fn prove(&self, about: &[u8]) -> blake3::Hash {
        blake3::keyed_hash(&self.0, about)
    }
}
