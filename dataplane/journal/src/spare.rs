//! A thread that keeps one spare segment ready, so that the committer never waits for an allocation.

use std::path::PathBuf;
use std::thread::{self, JoinHandle};

use crossbeam_channel::{Receiver, Sender};

use crate::Failure;
use crate::segment::Spare;

/// The spares, one at a time. A failed allocation is handed over too: it counts only once a segment is needed.
pub(crate) type Spares = Receiver<Result<Spare, Failure>>;

/// Starts the thread. It ends when the receiver is dropped, and removes the spare it holds.
pub(crate) fn start(
    dir: PathBuf,
    segment_bytes: u64,
    first: u64,
) -> Result<(Spares, JoinHandle<()>), Failure> {
    // A rendezvous: nothing waits in the channel, so at most one spare exists besides the one handed over.
    let (hand_over, spares) = crossbeam_channel::bounded(0);
    let name = "journal-spare".to_owned();
    let at = dir.clone();
    let thread = thread::Builder::new()
        .name(name)
        .spawn(move || keep_ready(&dir, segment_bytes, first, &hand_over))
        .map_err(|source| Failure::new("start a thread for the journal in", &at, source))?;
    Ok((spares, thread))
}

fn keep_ready(dir: &std::path::Path, segment_bytes: u64, first: u64, out: &Sender<Result<Spare, Failure>>) {
    for number in first.. {
        let spare = Spare::prepare(dir, number, segment_bytes);
        if let Err(failure) = &spare {
            tracing::warn!(%failure, "no spare segment: the journal stops when the current segment is full");
        }
        if let Err(unsent) = out.send(spare) {
            if let Ok(spare) = unsent.into_inner() {
                spare.discard();
            }
            return;
        }
    }
}
