//! The shop's own pages: the files of one directory, as a ConfigMap is mounted.

use crate::signature::hex;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::time::SystemTime;

/// More than this together isn't served; a ConfigMap holds half of it.
const BYTES_MAX: u64 = 2 << 20;

/// The shop's own pages.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Own {
    /// Contents by file name.
    pub files: BTreeMap<String, Vec<u8>>,
}

/// What tells whether a directory's files have changed, without reading them.
pub(super) type Stamp = Vec<(String, u64, Option<SystemTime>)>;

impl Own {
    /// Reads the files of a directory; one that isn't there has none.
    ///
    /// # Errors
    /// They can't be read, or are too large together.
    pub fn read(dir: &Path) -> io::Result<Self> {
        let stamp = stamp(dir)?;
        let bytes: u64 = stamp.iter().map(|(_, len, _)| len).sum();
        if bytes > BYTES_MAX {
            let why =
                format!("{bytes} bytes of pages, and at most {BYTES_MAX} are served: leave out the largest");
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, why));
        }
        let read = |(name, ..): (String, u64, Option<SystemTime>)| {
            let bytes = std::fs::read(dir.join(&name))?;
            Ok((name, bytes))
        };
        let files = stamp.into_iter().map(read).collect::<io::Result<_>>()?;
        Ok(Self { files })
    }

    /// See [`version`].
    #[must_use]
    pub fn version(&self) -> String {
        version(
            self.files
                .iter()
                .map(|(name, bytes)| (name.as_str(), bytes.as_slice())),
        )
    }
}

/// The digest of files in the order of their names: 16 hexadecimal digits, and nothing if there are none.
#[must_use]
pub fn version<'a>(files: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> String {
    let mut digest = Sha256::new();
    let mut is_empty = true;
    for (name, bytes) in files {
        is_empty = false;
        for part in [name.as_bytes(), bytes] {
            digest.update((part.len() as u64).to_be_bytes());
            digest.update(part);
        }
    }
    if is_empty {
        return String::new();
    }
    hex(&digest.finalize()[..8])
}

/// The plain files of a directory. What a mounted ConfigMap keeps for itself begins with two dots.
///
/// # Errors
/// It can't be read; one that isn't there has no files.
pub(super) fn stamp(dir: &Path) -> io::Result<Stamp> {
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Stamp::new()),
        Err(error) => return Err(error),
    };
    let mut files = Stamp::new();
    for entry in entries {
        let name = entry?.file_name();
        let Some(name) = name.to_str().filter(|name| !name.starts_with('.')) else {
            continue;
        };
        // A mounted ConfigMap's files are links.
        let meta = std::fs::metadata(dir.join(name))?;
        if meta.is_file() {
            files.push((name.to_owned(), meta.len(), meta.modified().ok()));
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mounted_config_map_is_read_by_its_names() {
        let dir = tempfile::tempdir().unwrap();
        let put = |version: &str, text: &str| {
            let data = dir.path().join(version);
            std::fs::create_dir(&data).unwrap();
            std::fs::write(data.join("sale.html"), text).unwrap();
            let link = dir.path().join("..data");
            let _ = std::fs::remove_file(&link);
            std::os::unix::fs::symlink(&data, link).unwrap();
        };
        put("..1", "one");
        std::os::unix::fs::symlink("..data/sale.html", dir.path().join("sale.html")).unwrap();
        let (before, one) = (stamp(dir.path()).unwrap(), Own::read(dir.path()).unwrap());
        assert_eq!(one.files.keys().collect::<Vec<_>>(), ["sale.html"]);
        put("..2", "another");
        assert_ne!(stamp(dir.path()).unwrap(), before);
        let another = Own::read(dir.path()).unwrap();
        assert_ne!(another.version(), one.version());
        assert_eq!(another.version().len(), 16);

        let nothing = Own::read(&dir.path().join("missing")).unwrap();
        assert_eq!((nothing.files.len(), nothing.version()), (0, String::new()));
        std::fs::write(dir.path().join("film"), vec![0; BYTES_MAX as usize]).unwrap();
        let refused = Own::read(dir.path()).unwrap_err().to_string();
        assert!(refused.contains("leave out the largest"), "{refused}");
    }

    #[test]
    fn names_and_contents_make_a_version() {
        let of = |files: &[(&str, &str)]| version(files.iter().map(|(name, text)| (*name, text.as_bytes())));
        assert_eq!(of(&[("a", "b")]), of(&[("a", "b")]));
        assert_ne!(of(&[("a", "b")]), of(&[("ab", "")]));
        assert_ne!(of(&[("a", "b")]), of(&[("a", "b"), ("c", "")]));
    }
}
