//! The bounds of a journal.

use crate::JournalError;
use crate::format::{RECORD_HEADER_BYTES, SECTOR_BYTES, SEGMENT_HEADER_BYTES, batch_bytes_on_disk};

/// The bounds of a journal. They may differ from one opening to the next; only new segments take the new size.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// The size of a segment file in bytes, a multiple of 4096. It is allocated in full ahead of its use, and one
    /// spare segment beside it. Default 32 MiB.
    pub segment_bytes_max: u64,
    /// The bytes accepted but not yet durable, each record counted with [`Options::RECORD_OVERHEAD_BYTES`] on top.
    /// Default 64 MiB.
    pub queue_bytes_max: u64,
    /// The records' bytes written with one `fdatasync`. Default 1 MiB.
    pub batch_bytes_max: u64,
    /// The bytes of one record. Default 256 KiB.
    pub record_bytes_max: u64,
    /// The durable batches waiting for the subscriber; at this number the committer waits for it, and the queue
    /// fills. Default 64.
    pub deliver_batches_max: usize,
    /// How long closing waits, in milliseconds, for a subscriber that takes nothing. What it misses then is durable
    /// and can be read. Default 2000.
    pub close_deliver_wait_ms_max: u64,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            segment_bytes_max: 32 << 20,
            queue_bytes_max: 64 << 20,
            batch_bytes_max: 1 << 20,
            record_bytes_max: 256 << 10,
            deliver_batches_max: 64,
            close_deliver_wait_ms_max: 2000,
        }
    }
}

impl Options {
    /// What a queued record costs in memory beside its bytes.
    pub const RECORD_OVERHEAD_BYTES: u64 = 64;

    /// The longest batch the format can describe (its length is a u32).
    const BATCH_BYTES_LIMIT: u64 = 1 << 30;

    pub(crate) fn validate(&self) -> Result<(), JournalError> {
        let refuse = |option, value, rule: String| Err(JournalError::Options { option, value, rule });
        let record_in_batch = self.record_bytes_max.saturating_add(RECORD_HEADER_BYTES);
        if self.batch_bytes_max < record_in_batch || self.batch_bytes_max > Self::BATCH_BYTES_LIMIT {
            let rule = format!(
                "it must hold one record of record_bytes_max with its header ({record_in_batch} bytes) and be at most {}",
                Self::BATCH_BYTES_LIMIT
            );
            return refuse("batch_bytes_max", self.batch_bytes_max, rule);
        }
        let least = SEGMENT_HEADER_BYTES + batch_bytes_on_disk(self.batch_bytes_max) + SECTOR_BYTES;
        if self.segment_bytes_max < least || !self.segment_bytes_max.is_multiple_of(SEGMENT_HEADER_BYTES) {
            let rule =
                format!("it must be a multiple of {SEGMENT_HEADER_BYTES} and hold one batch ({least} bytes)");
            return refuse("segment_bytes_max", self.segment_bytes_max, rule);
        }
        let queued = self.record_bytes_max + Self::RECORD_OVERHEAD_BYTES;
        if self.queue_bytes_max < queued {
            let rule =
                format!("it must hold one record of record_bytes_max ({queued} bytes with its overhead)");
            return refuse("queue_bytes_max", self.queue_bytes_max, rule);
        }
        if self.deliver_batches_max == 0 {
            return refuse("deliver_batches_max", 0, "at least one batch must fit".to_owned());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid() {
        Options::default().validate().unwrap();
    }

    #[test]
    fn each_contradiction_names_its_option() {
        let d = Options::default;
        let cases = [
            (
                "batch_bytes_max",
                Options {
                    batch_bytes_max: 1024,
                    ..d()
                },
            ),
            (
                "batch_bytes_max",
                Options {
                    batch_bytes_max: 2 << 30,
                    ..d()
                },
            ),
            (
                "segment_bytes_max",
                Options {
                    segment_bytes_max: 1 << 20,
                    ..d()
                },
            ),
            (
                "segment_bytes_max",
                Options {
                    segment_bytes_max: (32 << 20) + 1,
                    ..d()
                },
            ),
            (
                "queue_bytes_max",
                Options {
                    queue_bytes_max: 256 << 10,
                    ..d()
                },
            ),
            (
                "deliver_batches_max",
                Options {
                    deliver_batches_max: 0,
                    ..d()
                },
            ),
        ];
        for (name, options) in cases {
            match options.validate() {
                Err(JournalError::Options { option, .. }) => assert_eq!(option, name),
                other => panic!("{name}: {other:?}"),
            }
        }
    }
}
