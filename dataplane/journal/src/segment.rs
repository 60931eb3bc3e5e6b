//! Segment files: their names, and their way from zeros to a part of the journal.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::Failure;
use crate::format::SegmentHeader;

const PREFIX: &str = "segment-";
const SUFFIX: &str = ".journal";
const SPARE_PREFIX: &str = "spare-";

/// Zeros are written and synced in steps of this size, so that the commits between them wait for one step at most.
const ZERO_STEP_BYTES: u64 = 1 << 20;

/// The path of segment `number`.
pub(crate) fn path(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{PREFIX}{number:010}{SUFFIX}"))
}

/// What a journal's directory holds.
pub(crate) struct Listing {
    /// The segments' numbers in order, gaps included.
    pub(crate) segments: Vec<u64>,
    /// Segments that were prepared and never used.
    pub(crate) spares: Vec<PathBuf>,
}

/// Lists `dir`; files that are not the journal's are left out.
pub(crate) fn list(dir: &Path) -> Result<Listing, Failure> {
    let read = || -> io::Result<Listing> {
        let mut listing = Listing {
            segments: Vec::new(),
            spares: Vec::new(),
        };
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            let name = entry.file_name();
            let Some(name) = name.to_str() else { continue };
            if let Some(number) = name
                .strip_prefix(PREFIX)
                .and_then(|rest| rest.strip_suffix(SUFFIX))
            {
                listing.segments.extend(number.parse::<u64>());
            } else if name.starts_with(SPARE_PREFIX) && name.ends_with(SUFFIX) {
                listing.spares.push(entry.path());
            }
        }
        listing.segments.sort_unstable();
        Ok(listing)
    };
    read().map_err(|source| Failure::new("list the journal's directory", dir, source))
}

/// Makes creations and renames in `dir` durable.
pub(crate) fn sync_dir(dir: &Path) -> Result<(), Failure> {
    File::open(dir)
        .and_then(|file| file.sync_all())
        .map_err(|source| Failure::new("sync the directory", dir, source))
}

/// Overwrites `[from, to)` by zeros that are on the disk when this returns.
pub(crate) fn zero(file: &File, from: u64, to: u64) -> io::Result<()> {
    let zeros = vec![0; ZERO_STEP_BYTES.min(to - from) as usize];
    let mut at = from;
    while at < to {
        let step = (zeros.len() as u64).min(to - at);
        file.write_all_at(&zeros[..step as usize], at)?;
        file.sync_data()?;
        at += step;
    }
    Ok(())
}

/// A file of zeros, allocated and on the disk, that is not a part of the journal yet.
///
/// Written zeros, not a hole: later writes change no metadata, so `fdatasync` costs one write and no more.
pub(crate) struct Spare {
    file: File,
    path: PathBuf,
    bytes: u64,
}

impl Spare {
    /// Prepares spare `number` in `dir`; on failure nothing is left behind.
    pub(crate) fn prepare(dir: &Path, number: u64, bytes: u64) -> Result<Spare, Failure> {
        let path = dir.join(format!("{SPARE_PREFIX}{number}{SUFFIX}"));
        let made = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&path)
            .and_then(|file| {
                zero(&file, 0, bytes)?;
                file.sync_all()?;
                Ok(file)
            });
        match made {
            Ok(file) => Ok(Spare { file, path, bytes }),
            Err(source) => {
                // The removal is a courtesy: what stays is removed by the next opening.
                let _ = fs::remove_file(&path);
                Err(Failure::new("allocate a segment in", &path, source))
            }
        }
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Makes this the segment that `header` describes. When it returns, file, header and name are on the disk.
    pub(crate) fn install(self, dir: &Path, header: &SegmentHeader) -> Result<File, Failure> {
        let target = path(dir, header.number);
        let install = || -> io::Result<()> {
            self.file.write_all_at(&header.encode(), 0)?;
            self.file.sync_data()?;
            if target.try_exists()? {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            fs::rename(&self.path, &target)
        };
        install().map_err(|source| Failure::new("install the segment", &target, source))?;
        sync_dir(dir)?;
        Ok(self.file)
    }

    /// Gives the space back.
    pub(crate) fn discard(self) {
        // A courtesy, as above.
        let _ = fs::remove_file(&self.path);
    }
}
