//! The word to end.

use super::RoleError;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals that end a process in order. One listener for its whole life: one that comes while nobody waits isn't
/// lost.
pub(super) struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// Listens from now on.
    pub(super) fn listen() -> Result<Self, RoleError> {
        let listen =
            |kind| signal(kind).map_err(|e| RoleError::Failed(format!("can't listen for signals ({e})")));
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
        })
    }

    /// Ends when one has come.
    pub(super) async fn end(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
