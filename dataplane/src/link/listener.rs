//! The end of whoever hears of switches only.

use super::client::{Reading, Talk, Writing};
use super::frame::{self, FRAME_BYTES_MAX, LinkError, SPEAK_EVERY};
use super::shards::hear;
use super::words::{FromSidecar, ToSidecar};
use crate::shared::Shared;
use std::sync::Arc;

/// The link to one control sidecar.
pub(crate) struct SwitchesLink {
    /// What this process knows of the sale.
    pub(crate) shared: Arc<Shared>,
}

impl Talk for SwitchesLink {
    async fn talk(&mut self, mut from: Reading, mut to: Writing) -> LinkError {
        let listen = async {
            loop {
                if let FromSidecar::Switches(text) = frame::read(&mut from, FRAME_BYTES_MAX).await? {
                    hear(&self.shared, &text)?;
                }
            }
        };
        let live = async {
            loop {
                frame::write(&mut to, &ToSidecar::Alive).await?;
                frame::flush(&mut to).await?;
                tokio::time::sleep(SPEAK_EVERY).await;
            }
        };
        let ended: Result<(), LinkError> = tokio::select! {
            ended = listen => ended,
            ended = live => ended,
        };
        ended.err().unwrap_or(LinkError::Silent)
    }

    // What was switched holds on without a link.
    fn lost(&mut self) {}
}
