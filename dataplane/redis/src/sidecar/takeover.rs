//! Taking a shard over: close the gate, see what is left, replace everything, open the gate.

use super::SidecarShard;
use crate::buyer::{accepted, function};
use crate::error::CallError;
use crate::gate::{self, Credentials};
use crate::names::ShardName;
use crate::outbox::Leftover;
use crate::rebuild::{self, Put};
use flashsale_core::engine::Engine;
use flashsale_core::ids::{Epoch, OwnerId};
use redis::{Cmd, Value, cmd, pipe};

/// Writes of a rebuild under way at once.
const PUTS: usize = 32;
/// Keys deleted at once.
const KEYS: usize = 100;

impl SidecarShard {
    /// Closes the gate of every epoch up to `epoch`: no gateway gets in, and those inside are cut off. Returns how many users were deleted.
    ///
    /// # Errors
    /// See [`CallError`]; `WrongEpoch` if a higher epoch has the shard, which stays open.
    pub async fn close_gate(&self, epoch: Epoch) -> Result<usize, CallError> {
        let deleted = gate::delete(&self.link, &self.name, epoch).await?;
        let mut close = function(&self.name, "fs1_close");
        close.arg(epoch.0);
        let answer = self.link.bytes(&close).await?;
        match accepted(&self.link, &answer) {
            Ok(_) | Err(CallError::Absent) => Ok(deleted),
            Err(error) => Err(error),
        }
    }

    /// What Redis still holds of the shard's last owner: its events may be in no log yet. `None` if Redis doesn't hold the shard, or
    /// only a part of a load. To be read behind a closed gate.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn leftover_outbox(&self) -> Result<Option<Leftover>, CallError> {
        let standing = match self.status().await {
            Ok(standing) if standing.state != "loading" => standing,
            Ok(_) | Err(CallError::Absent) => return Ok(None),
            Err(error) => return Err(error),
        };
        let events = self.whole_outbox().await?;
        Ok(Some(Leftover {
            epoch: standing.epoch,
            owner: standing.owner,
            events,
        }))
    }

    /// Replaces all that Redis holds of the shard with what `engine` holds, for `epoch` and its `owner`. The shard is closed
    /// meanwhile and afterwards, its outbox is empty; the next event is `engine.len() + 1`. May be repeated after an error.
    ///
    /// # Errors
    /// See [`CallError`]; `WrongEpoch` or `WrongOwner` if the shard has a higher epoch, or another owner in this one.
    pub async fn load(&mut self, engine: &Engine, epoch: Epoch, owner: OwnerId) -> Result<(), CallError> {
        let puts = rebuild::puts(engine).map_err(|why| self.link.refused(why.to_string()))?;
        self.begin(epoch, owner).await?;
        self.claim = Some((epoch, owner));
        for some in puts.chunks(PUTS) {
            self.put_all(some).await?;
        }
        self.step("fs1_loaded").await
    }

    /// Opens the gate; the credentials are for this epoch's gateways.
    ///
    /// # Errors
    /// See [`CallError`]; `WrongEpoch` if this owner didn't load `epoch`.
    pub async fn open_gate(&self, epoch: Epoch) -> Result<Credentials, CallError> {
        if self.claim()?.0 != epoch {
            return Err(CallError::WrongEpoch);
        }
        let credentials = gate::create(&self.link, &self.name, epoch).await?;
        self.step("fs1_open").await?;
        Ok(credentials)
    }

    /// Deletes every key and every gateway user of the whole sale, all its shards that this Redis holds; returns how many keys. For
    /// teardown only: nothing here asks whether anything is still needed.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn drop_sale(&self) -> Result<usize, CallError> {
        let keys = self.keys(&format!("fs:{{{}:*", self.name.uid())).await?;
        for key in &keys {
            if let Some(shard) = self.shard_of(key) {
                gate::delete(&self.link, &shard, Epoch(u32::MAX)).await?;
            }
        }
        for some in keys.chunks(KEYS) {
            self.link.call(cmd("UNLINK").arg(some)).await?;
        }
        Ok(keys.len())
    }

    /// The shard whose meta `key` is.
    fn shard_of(&self, key: &str) -> Option<ShardName> {
        let rest = key.strip_prefix(&format!("fs:{{{}:", self.name.uid()))?;
        let shard = rest.strip_suffix("}:meta")?.parse().ok()?;
        Some(ShardName::new(
            self.name.sale,
            flashsale_core::ids::ShardId(shard),
        ))
    }

    /// Marks the shard as loading, which fences off all others, and removes what an older epoch left.
    async fn begin(&self, epoch: Epoch, owner: OwnerId) -> Result<(), CallError> {
        let mut begin = function(&self.name, "fs1_begin");
        begin.arg(epoch.0).arg(owner.0);
        let answer = self.link.bytes(&begin).await?;
        accepted(&self.link, &answer)?;
        let keys = self.keys(&format!("{}*", self.name.prefix())).await?;
        let suffixes = keys.iter().map(|key| &key[self.name.prefix().len()..]);
        let old: Vec<Put> = suffixes
            .filter(|suffix| *suffix != "meta")
            .map(|suffix| Put {
                command: "UNLINK",
                suffix: suffix.to_owned(),
                args: Vec::new(),
            })
            .collect();
        let claim = Some((epoch, owner));
        let me = Self {
            claim,
            ..self.clone()
        };
        for some in old.chunks(PUTS) {
            me.put_all(some).await?;
        }
        Ok(())
    }

    async fn put_all(&self, puts: &[Put]) -> Result<(), CallError> {
        let mut pipeline = pipe();
        for put in puts {
            let mut call: Cmd = self.function("fs1_put")?;
            call.arg(put.command).arg(&put.suffix).arg(&put.args);
            pipeline.add_command(call);
        }
        for answer in self.link.calls(&pipeline, puts.len()).await? {
            let Value::BulkString(answer) = answer else {
                return Err(self.link.unexpected(&answer));
            };
            accepted(&self.link, &answer)?;
        }
        Ok(())
    }

    async fn step(&self, name: &str) -> Result<(), CallError> {
        let call = self.function(name)?;
        let answer = self.link.bytes(&call).await?;
        accepted(&self.link, &answer).map(|_| ())
    }
}
