//! Frames: four bytes of length, little-endian, and a message.

use serde::Serialize;
use serde::de::DeserializeOwned;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// The longest message.
pub(super) const FRAME_BYTES_MAX: usize = 1 << 20;
/// Whoever hears nothing for so long takes the other side for gone.
pub(super) const SILENCE_MAX: Duration = Duration::from_secs(3);
/// How often something is said, whether there is anything to say or not.
pub(super) const SPEAK_EVERY: Duration = Duration::from_millis(500);
/// A reader that takes nothing for so long is cut off.
pub(super) const WRITE_MAX: Duration = Duration::from_secs(5);

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LinkError {
    /// Nobody answers there, or the connection broke.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// The other side is silent.
    #[error("nothing was heard for {SILENCE_MAX:?}")]
    Silent,
    /// The other side doesn't read.
    #[error("the other side took nothing for {WRITE_MAX:?}")]
    Slow,
    /// The other side speaks something else.
    #[error("{0}")]
    Foreign(String),
    /// The key isn't the other side's.
    #[error("the link's key isn't the one that the other side has: give both the same file (`keys.link`)")]
    Key,
    /// It serves another sale.
    #[error("the other side serves another sale: correct the address, or the sale's directory (`sale`)")]
    Sale,
    /// It is of another version.
    #[error(
        "the other side speaks version {theirs} of the link, this program version {ours}: run the same version everywhere"
    )]
    Version {
        /// Ours.
        ours: u16,
        /// The other side's.
        theirs: u16,
    },
}

pub(super) fn foreign(what: &str) -> LinkError {
    LinkError::Foreign(format!("{what}: is this the link of a sale?"))
}

/// Writes a message; the caller flushes.
pub(super) async fn write(
    to: &mut (impl AsyncWrite + Unpin),
    message: &impl Serialize,
) -> Result<(), LinkError> {
    let mut bytes = postcard::to_extend(message, vec![0; 4]).map_err(|e| foreign(&e.to_string()))?;
    let len = bytes.len() - 4;
    if len > FRAME_BYTES_MAX {
        return Err(LinkError::Foreign(format!(
            "a message of {len} bytes is too long for the link: this is a bug, report it"
        )));
    }
    bytes[..4].copy_from_slice(&(len as u32).to_le_bytes());
    let written = tokio::time::timeout(WRITE_MAX, to.write_all(&bytes)).await;
    Ok(written.map_err(|_| LinkError::Slow)??)
}

/// Sends what was written.
pub(super) async fn flush(to: &mut (impl AsyncWrite + Unpin)) -> Result<(), LinkError> {
    let flushed = tokio::time::timeout(WRITE_MAX, to.flush()).await;
    Ok(flushed.map_err(|_| LinkError::Slow)??)
}

/// Reads the next message, of at most `most` bytes.
pub(super) async fn read<T: DeserializeOwned>(
    from: &mut (impl AsyncRead + Unpin),
    most: usize,
) -> Result<T, LinkError> {
    let read = async {
        let len = from.read_u32_le().await? as usize;
        if len > most {
            return Err(foreign(&format!("a message of {len} bytes")));
        }
        let mut bytes = vec![0; len];
        from.read_exact(&mut bytes).await?;
        postcard::from_bytes(&bytes).map_err(|e| foreign(&format!("a message that can't be read ({e})")))
    };
    tokio::time::timeout(SILENCE_MAX, read)
        .await
        .map_err(|_| LinkError::Silent)?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_written_is_read_and_a_message_that_is_too_long_is_refused_unread() {
        let (mut near, mut far) = tokio::io::duplex(1 << 16);
        write(&mut near, &("hello", 7_u64)).await.unwrap();
        let read_back: (String, u64) = read(&mut far, 64).await.unwrap();
        assert_eq!(read_back, ("hello".to_owned(), 7));
        write(&mut near, &vec![1_u8; 65]).await.unwrap();
        assert!(matches!(
            read::<Vec<u8>>(&mut far, 64).await,
            Err(LinkError::Foreign(_))
        ));
    }

    #[tokio::test]
    async fn bytes_of_something_else_are_refused() {
        let (mut near, mut far) = tokio::io::duplex(1 << 16);
        near.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        assert!(matches!(
            read::<u64>(&mut far, 1024).await,
            Err(LinkError::Foreign(_))
        ));
        let (near, mut far) = tokio::io::duplex(64);
        drop(near);
        assert!(matches!(read::<u64>(&mut far, 1024).await, Err(LinkError::Io(_))));
    }
}
