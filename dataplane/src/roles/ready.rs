//! The ready file: tells scripts and tests where a process serves, once it does.

use super::RoleError;
use serde::{Deserialize, Serialize};
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Where a process serves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ready {
    /// Its process id.
    pub pid: u32,
    /// The buyers' address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listen: Option<SocketAddr>,
    /// The link's address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<SocketAddr>,
    /// Health and metrics.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub admin: Option<SocketAddr>,
}

/// Removes the file when the process ends in order. One that is killed leaves it behind; the process id in it tells
/// whose it is.
pub(super) struct Told(Option<PathBuf>);

impl Ready {
    pub(super) fn of(
        listen: Option<SocketAddr>,
        link: Option<SocketAddr>,
        admin: Option<SocketAddr>,
    ) -> Self {
        Self {
            pid: std::process::id(),
            listen,
            link,
            admin,
        }
    }

    /// Writes it to `file`, if there is one, so that whoever sees the file sees all of it.
    pub(super) fn tell(mut self, file: Option<&Path>) -> Result<Told, RoleError> {
        let Some(file) = file else {
            return Ok(Told(None));
        };
        self.pid = std::process::id();
        let failed =
            |e: io::Error| RoleError::Failed(format!("{}: can't write the ready file ({e})", file.display()));
        let json = serde_json::to_string(&self).map_err(|e| failed(e.into()))?;
        let mut temporary = file.as_os_str().to_owned();
        temporary.push(format!(".{}", self.pid));
        std::fs::write(&temporary, format!("{json}\n")).map_err(failed)?;
        std::fs::rename(&temporary, file).map_err(failed)?;
        Ok(Told(Some(file.to_owned())))
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        if let Some(file) = &self.0 {
            // Somebody may have removed it already; then there is nothing to do.
            let _ = std::fs::remove_file(file);
        }
    }
}
