//! Keeps what is served up to date with a directory.

use super::own::{self, Own, Stamp};
use super::served::Served;
use crate::shared::Shared;
use arc_swap::ArcSwap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::Duration;

/// Between two looks at the directory.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// The pages that the threads of a process serve; replaced all at once.
#[derive(Debug)]
pub struct Published(ArcSwap<Served>);

impl Published {
    /// The built-in pages of a sale.
    #[must_use]
    pub(crate) fn new(sale: &str) -> Self {
        let built_in = Served::new(sale, &Own::default(), &Served::default());
        Self(ArcSwap::from_pointee(built_in))
    }

    /// What is served now.
    pub(crate) fn load(&self) -> Arc<Served> {
        self.0.load_full()
    }

    /// Whether that is what is served now.
    pub(crate) fn is(&self, served: &Arc<Served>) -> bool {
        Arc::ptr_eq(&self.0.load(), served)
    }

    fn publish(&self, sale: &str, own: &Own) {
        let served = Served::new(sale, own, &self.0.load());
        self.0.store(Arc::new(served));
    }
}

/// Serves the pages in `dir`.
///
/// # Errors
/// They can't be read; what was served before still is.
pub(crate) fn publish(shared: &Shared, dir: &Path) -> std::io::Result<()> {
    shared.pages.publish(&shared.sale.name, &Own::read(dir)?);
    Ok(())
}

/// Serves the pages in `dir` as they change, until the process has no more use for them.
pub(crate) async fn keep(shared: Weak<Shared>, dir: PathBuf) {
    let mut every = tokio::time::interval(LOOK_EVERY);
    let mut known = Stamp::new();
    loop {
        every.tick().await;
        let Some(shared) = shared.upgrade() else { return };
        let dir = dir.clone();
        let before = std::mem::take(&mut known);
        let looked = tokio::task::spawn_blocking(move || {
            let now = own::stamp(&dir)?;
            if now != before {
                publish(&shared, &dir)?;
                tracing::info!(version = shared.pages.load().version(), "pages are published");
            }
            Ok::<_, std::io::Error>(now)
        });
        match looked.await {
            Ok(Ok(now)) => known = now,
            // They are looked at again; what was served before still is.
            Ok(Err(error)) => tracing::warn!(%error, "the pages can't be read"),
            Err(_) => return,
        }
    }
}
