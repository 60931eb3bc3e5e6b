//! The two calls whose failure decides the journal's fate, behind a seam so that tests can make them fail or wait.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// How the committer writes batches and makes them durable.
pub(crate) trait Storage: Send + 'static {
    /// Writes all of `bytes` at `offset`.
    fn write(&mut self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Returns once all that was written to `file` is on the disk.
    fn sync(&mut self, file: &File) -> io::Result<()>;
}

/// The real disk.
pub(crate) struct Disk;

impl Storage for Disk {
    fn write(&mut self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
        file.write_all_at(bytes, offset)
    }

    fn sync(&mut self, file: &File) -> io::Result<()> {
        file.sync_data()
    }
}
