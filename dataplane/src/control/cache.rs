//! What was known last, on disk: a control sidecar that starts while the API is away begins with it.

use crate::amendments::Amendments;
use crate::switches::Kept;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// What is kept.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Cached {
    /// The sale's uid: of another sale of the same name nothing holds.
    pub(super) sale: String,
    pub(super) switches: Kept,
    #[serde(default)]
    pub(super) amendments: Option<Amendments>,
}

/// The file.
#[derive(Debug, Clone)]
pub(super) struct Cache(Option<PathBuf>);

impl Cache {
    pub(super) fn new(file: Option<&Path>) -> Self {
        Self(file.map(Path::to_owned))
    }

    /// What is in it of this sale. A file that isn't there or can't be used is nothing known.
    pub(super) fn read(&self, sale: &str) -> Option<Cached> {
        let file = self.0.as_ref()?;
        let text = std::fs::read(file).ok()?;
        match serde_json::from_slice::<Cached>(&text) {
            Ok(cached) => Some(cached).filter(|cached| cached.sale == sale),
            Err(error) => {
                tracing::warn!(file = %file.display(), %error, "the switches kept on disk can't be read; beginning without them");
                None
            }
        }
    }

    /// Keeps it. One that can't be written is said so; the process goes on.
    pub(super) fn write(&self, cached: &Cached) {
        let Some(file) = &self.0 else { return };
        let mut temporary = file.as_os_str().to_owned();
        temporary.push(".tmp");
        // Only structs of plain values: they always have a JSON form.
        let text = serde_json::to_vec(cached).unwrap_or_default();
        let written = std::fs::write(&temporary, text).and_then(|()| std::fs::rename(&temporary, file));
        if let Err(error) = written {
            tracing::warn!(file = %file.display(), %error, "the switches can't be kept on disk");
        }
    }
}
