//! One process per journal: the LOCK file, which also remembers the journal's uid.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use uuid::Uuid;

use crate::{Failure, JournalError};

const LOCK_FILE: &str = "LOCK";
const UID_BYTES: usize = 36;

/// A journal's directory, locked until this is dropped (also by the death of the process).
pub(crate) struct DirLock {
    file: File,
    path: PathBuf,
}

impl DirLock {
    /// The one writer's lock; creates the file.
    pub(crate) fn exclusive(dir: &Path) -> Result<DirLock, JournalError> {
        let path = dir.join(LOCK_FILE);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path);
        Self::take(dir, path, file, File::try_lock)
    }

    /// The lock of those who only read; it keeps a writer out and changes nothing.
    pub(crate) fn shared(dir: &Path) -> Result<DirLock, JournalError> {
        let path = dir.join(LOCK_FILE);
        let file = File::open(&path);
        Self::take(dir, path, file, File::try_lock_shared)
    }

    fn take(
        dir: &Path,
        path: PathBuf,
        file: io::Result<File>,
        lock: fn(&File) -> Result<(), TryLockError>,
    ) -> Result<DirLock, JournalError> {
        let file = file.map_err(|source| Failure::new("open the lock file", &path, source))?;
        match lock(&file) {
            Ok(()) => Ok(DirLock { file, path }),
            Err(TryLockError::WouldBlock) => Err(JournalError::Locked { dir: dir.to_owned() }),
            Err(TryLockError::Error(source)) => Err(Failure::new("lock", &path, source).into()),
        }
    }

    /// The uid written when the first segment was durable. Anything unreadable is as good as none.
    pub(crate) fn uid(&self) -> Option<Uuid> {
        let mut text = [0; UID_BYTES];
        self.file.read_exact_at(&mut text, 0).ok()?;
        Uuid::try_parse_ascii(&text).ok()
    }

    /// Remembers the uid, so that a directory that lost all its segments is told apart from a new one.
    pub(crate) fn remember(&self, uid: Uuid) -> Result<(), Failure> {
        self.file
            .write_all_at(format!("{uid}\n").as_bytes(), 0)
            .and_then(|()| self.file.sync_all())
            .map_err(|source| Failure::new("write the journal's uid to", &self.path, source))
    }
}
