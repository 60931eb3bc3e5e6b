//! The ready file: tells scripts and supervisors where a sale is served, once it is.

use crate::failure::Failure;
use flashsale_dataplane::embedded::Front;
use std::io;
use std::path::{Path, PathBuf};

/// Removes the file when the sale isn't served any more. A process that is killed leaves it behind; the
/// process id in it tells whose it is.
pub(super) struct Ready(Option<PathBuf>);

/// Writes `{"listen","admin","pid"}` to `file`, so that whoever sees the file sees all of it.
pub(super) fn tell(file: Option<&Path>, front: &Front) -> Result<Ready, Failure> {
    let Some(file) = file else {
        return Ok(Ready(None));
    };
    let pid = std::process::id();
    let json = serde_json::json!({"listen": front.listen, "admin": front.admin, "pid": pid});
    let failed = |e: io::Error| Failure::new(format!("{}: can't write the ready file ({e})", file.display()));
    let mut temporary = file.as_os_str().to_owned();
    temporary.push(format!(".{pid}"));
    std::fs::write(&temporary, format!("{json}\n")).map_err(failed)?;
    std::fs::rename(&temporary, file).map_err(failed)?;
    Ok(Ready(Some(file.to_owned())))
}

impl Drop for Ready {
    fn drop(&mut self) {
        if let Some(file) = &self.0 {
            // Somebody may have removed it already; then there is nothing to do.
            let _ = std::fs::remove_file(file);
        }
    }
}
