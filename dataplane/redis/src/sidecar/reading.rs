//! Reading a shard: its outbox, its state, what it takes in memory.

use super::{BLOCK, SidecarShard};
use crate::dump::{self, Raw};
use crate::error::CallError;
use crate::outbox::decode_entry;
use crate::state::State;
use flashsale_core::event::Event;
use flashsale_core::ids::Seq;
use redis::streams::{StreamId, StreamRangeReply, StreamReadReply};
use redis::{FromRedisValue, Value, cmd};
use std::collections::HashMap;

/// Entries of the outbox read at once.
const ENTRIES: usize = 128;

/// What a shard takes in Redis' memory, in bytes by `MEMORY USAGE`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Memory {
    /// Kept per buyer to know them again: index, records, and units that don't fit a record.
    pub dedupe: u64,
    /// The outbox.
    pub outbox: u64,
    /// All keys.
    pub all: u64,
}

impl SidecarShard {
    /// The events behind number `after`, in order; waits until there is one.
    ///
    /// # Errors
    /// See [`CallError`]. `Refused` if the outbox doesn't go on with `after + 1`, or isn't this owner's any more.
    pub async fn read_outbox(&self, after: Seq) -> Result<Vec<Event>, CallError> {
        let mut read = cmd("XREAD");
        read.arg("COUNT")
            .arg(ENTRIES)
            .arg("BLOCK")
            .arg(BLOCK.as_millis() as u64);
        read.arg("STREAMS")
            .arg(self.name.key("out"))
            .arg(format!("{after}-0"));
        loop {
            let answer: Option<StreamReadReply> = self.waiting.typed(&read).await?;
            let entries = answer
                .into_iter()
                .flat_map(|reply| reply.keys)
                .flat_map(|key| key.ids);
            let events = self.events(entries.collect())?;
            let Some(first) = events.first() else {
                continue;
            };
            if first.n != after + 1 {
                let lost = format!(
                    "the outbox goes on with event {} behind {after}: rebuild the shard from the log",
                    first.n
                );
                return Err(self.link.refused(lost));
            }
            if self.claim.is_some_and(|(epoch, _)| first.made != epoch) {
                return Err(CallError::WrongEpoch);
            }
            return Ok(events);
        }
    }

    /// All that the outbox holds.
    pub(super) async fn whole_outbox(&self) -> Result<Vec<Event>, CallError> {
        let (mut all, mut from) = (Vec::new(), "-".to_owned());
        loop {
            let mut range = cmd("XRANGE");
            range
                .arg(self.name.key("out"))
                .arg(&from)
                .arg("+")
                .arg("COUNT")
                .arg(ENTRIES);
            let reply: StreamRangeReply = self.link.typed(&range).await?;
            let Some(last) = reply.ids.last() else {
                return Ok(all);
            };
            from = format!("({}", last.id);
            all.extend(self.events(reply.ids)?);
        }
    }

    fn events(&self, entries: Vec<StreamId>) -> Result<Vec<Event>, CallError> {
        let mut events = Vec::new();
        for entry in entries {
            let id = entry.id;
            let bytes = |value| Vec::<u8>::from_redis_value(value).unwrap_or_default();
            let fields: HashMap<String, Vec<u8>> =
                entry.map.into_iter().map(|(k, v)| (k, bytes(v))).collect();
            let decoded = decode_entry(&fields);
            let unreadable = || {
                self.link.refused(format!(
                    "entry {id} of the outbox can't be read: rebuild the shard from the log"
                ))
            };
            events.extend(decoded.ok_or_else(unreadable)?);
        }
        Ok(events)
    }

    /// The shard's whole state as Redis has it, followed the way the functions follow it. For audits, behind a closed gate.
    ///
    /// # Errors
    /// See [`CallError`]; `Refused` says what in the state contradicts itself.
    pub async fn dump(&self) -> Result<State, CallError> {
        let key = |suffix: &str| self.name.key(suffix);
        let hash = async |suffix: &str| {
            self.link
                .typed::<dump::Fields>(cmd("HGETALL").arg(key(suffix)))
                .await
        };
        let mut raw = Raw {
            meta: hash("meta").await?,
            ..Raw::default()
        };
        if raw.meta.is_empty() {
            return Err(CallError::Absent);
        }
        let wrong = |why: String| {
            self.link.refused(format!(
                "the shard's state contradicts itself: {why}; rebuild it from the log"
            ))
        };
        for chunk in 0..dump::chunks(dump::field(&raw.meta, "n").map_err(wrong)?) {
            raw.records.extend(
                self.link
                    .bytes(cmd("GET").arg(key(&format!("r:{chunk}"))))
                    .await?,
            );
        }
        raw.index = hash("idx").await?;
        for item in 0..dump::field::<u16>(&raw.meta, "items").map_err(wrong)? {
            raw.free.push(
                self.link
                    .typed(cmd("LRANGE").arg(key(&format!("f:{item}"))).arg(0).arg(-1))
                    .await?,
            );
        }
        raw.overflow = hash("x").await?;
        raw.loads = hash("loads").await?;
        raw.outs = hash("outs").await?;
        raw.ins = hash("ins").await?;
        dump::state(raw).map_err(wrong)
    }

    /// What the shard takes in Redis' memory.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn memory(&self) -> Result<Memory, CallError> {
        let mut memory = Memory::default();
        for key in self.keys(&format!("{}*", self.name.prefix())).await? {
            let mut usage = cmd("MEMORY");
            usage.arg("USAGE").arg(&key).arg("SAMPLES").arg(0);
            let bytes = match self.link.call(&usage).await? {
                Value::Int(bytes) => u64::try_from(bytes).unwrap_or(0),
                _ => 0,
            };
            let suffix = &key[self.name.prefix().len()..];
            memory.all += bytes;
            if suffix == "out" {
                memory.outbox += bytes;
            }
            if suffix == "idx" || suffix == "x" || suffix.starts_with("r:") {
                memory.dedupe += bytes;
            }
        }
        Ok(memory)
    }

    /// All keys that fit `pattern`.
    pub(super) async fn keys(&self, pattern: &str) -> Result<Vec<String>, CallError> {
        let (mut keys, mut cursor) = (Vec::new(), 0u64);
        loop {
            let mut scan = cmd("SCAN");
            scan.arg(cursor).arg("MATCH").arg(pattern).arg("COUNT").arg(1000);
            let (next, found): (u64, Vec<String>) = self.link.typed(&scan).await?;
            keys.extend(found);
            if next == 0 {
                keys.sort_unstable();
                keys.dedup();
                return Ok(keys);
            }
            cursor = next;
        }
    }
}
