//! Whether somebody wants the process to end.

use crate::failure::Failure;
use flashsale_screen::Left;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;

/// The signals that end the process. One listener for its whole life: a signal that comes while nobody waits is
/// seen by who waits next, instead of being lost between two listeners.
pub(super) struct Wanted {
    interrupt: Signal,
    terminate: Signal,
}

impl Wanted {
    /// Listens from now on; until then, a signal ends the process at once.
    pub(super) fn listen() -> Result<Self, Failure> {
        let listen = |kind| signal(kind).map_err(|e| Failure::new(format!("can't listen for signals ({e})")));
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
        })
    }

    /// Ends when a signal has come.
    pub(super) async fn by_signal(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }

    /// Ends when a signal has come, or the word to quit from the live view.
    pub(super) async fn by_key_or_signal(&mut self, left: oneshot::Receiver<Left>) {
        let quit = async {
            match left.await {
                Ok(Left::Quit) => {}
                // The screen was stopped, or couldn't be shown: that ends nothing.
                _ => std::future::pending().await,
            }
        };
        tokio::select! {
            () = quit => {}
            () = self.by_signal() => {}
        }
    }
}
