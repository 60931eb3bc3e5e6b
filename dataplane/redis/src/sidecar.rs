//! What a shard's owner has of its Redis.

use crate::address::{Options, Persistence};
use crate::buyer::{accepted, function, register};
use crate::error::{CallError, ConnectError};
use crate::library;
use crate::link::Link;
use crate::names::ShardName;
use crate::outbox::reason_code;
use flashsale_core::attempt::Registered;
use flashsale_core::engine::Outgoing;
use flashsale_core::event::{ReleaseReason, TicketNo};
use flashsale_core::ids::{BuyerKey, Epoch, ItemIx, Millis, OwnerId, Seq, ShardId};
use flashsale_core::units::UnitRange;
use redis::{Cmd, cmd};
use std::collections::HashMap;
use std::time::Duration;

mod reading;
mod takeover;

pub use reading::Memory;

/// How long one blocking read of the outbox waits before it asks again.
const BLOCK: Duration = Duration::from_secs(1);
/// The oldest Redis with functions.
const MAJOR_MIN: u32 = 7;

/// Where a shard stands in Redis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Its epoch.
    pub epoch: Epoch,
    /// Its owner.
    pub owner: OwnerId,
    /// `loading`, `closed` or `open`.
    pub state: String,
    /// The number of its last event.
    pub n: Seq,
    /// The time, by the clock of Redis.
    pub at: Millis,
    /// Entries in its outbox.
    pub entries: u64,
    /// Free units of all items.
    pub free: u64,
    /// Distinct buyers with a record.
    pub buyers: u64,
    /// Buckets of the buyers' index.
    pub buckets: u64,
}

/// The owner's connection to its shard. Clones share the connections. A reader of the outbox should be a clone of its own task.
#[derive(Debug, Clone)]
pub struct SidecarShard {
    name: ShardName,
    link: Link,
    /// For reads that wait: they would hold up everything else on a connection.
    waiting: Link,
    claim: Option<(Epoch, OwnerId)>,
}

impl Standing {
    pub(crate) async fn ask(link: &Link, name: &ShardName) -> Result<Self, CallError> {
        let answer = link.bytes(&function(name, "fs1_status")).await?;
        let body = accepted(link, &answer)?;
        Self::read(body).ok_or_else(|| link.unexpected(&"status"))
    }

    fn read(body: &[u8]) -> Option<Self> {
        let mut words = std::str::from_utf8(body).ok()?.split(' ');
        Some(Self {
            epoch: Epoch(words.next()?.parse().ok()?),
            owner: OwnerId(words.next()?.parse().ok()?),
            state: words.next()?.to_owned(),
            n: words.next()?.parse().ok()?,
            at: words.next()?.parse().ok()?,
            entries: words.next()?.parse().ok()?,
            free: words.next()?.parse().ok()?,
            buyers: words.next()?.parse().ok()?,
            buckets: words.next()?.parse().ok()?,
        })
    }
}

impl SidecarShard {
    /// Connects, checks that this Redis can serve a sale, and loads the function library.
    ///
    /// # Errors
    /// It can't be reached or used; what to do is part of the error.
    pub async fn connect(options: &Options, name: ShardName) -> Result<Self, ConnectError> {
        Self::connect_with(options, name, &library::source()).await
    }

    /// The same with another source of the library: what a test needs to show that it would notice a broken one.
    ///
    /// # Errors
    /// As [`Self::connect`].
    pub async fn connect_with(
        options: &Options,
        name: ShardName,
        source: &str,
    ) -> Result<Self, ConnectError> {
        let link = Link::connect(options, None, Duration::ZERO).await?;
        fit(&link, options.persistence).await?;
        library::ensure(&link, source).await?;
        let waiting = Link::connect(options, None, BLOCK).await?;
        let shard = Self {
            name,
            link,
            waiting,
            claim: None,
        };
        match shard.status().await {
            Ok(_) | Err(CallError::Absent) => Ok(shard),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether Redis answers.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn ping(&self) -> Result<(), CallError> {
        self.link.call(&cmd("PING")).await.map(|_| ())
    }

    /// Where the shard stands.
    ///
    /// # Errors
    /// See [`CallError`]; `Absent` if this Redis doesn't hold it.
    pub async fn status(&self) -> Result<Standing, CallError> {
        Standing::ask(&self.link, &self.name).await
    }

    /// Registers at most 512 buyers in order; works behind a closed gate, too.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn register(&self, buyers: &[BuyerKey]) -> Result<Vec<Registered>, CallError> {
        let (epoch, owner) = self.claim()?;
        register(&self.link, &self.name, epoch, &owner.0.to_string(), buyers).await
    }

    /// Loads units under a load id; `false` if this load came in before.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn load_units(&self, load: u32, item: ItemIx, units: UnitRange) -> Result<bool, CallError> {
        let mut call = self.function("fs1_load")?;
        call.arg(load).arg(item.0).arg(units.first).arg(units.len);
        self.done(&call).await
    }

    /// Lets the sale end at `closes`, if that is later than it ended so far; `false` if it isn't.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn extend(&self, closes: Millis) -> Result<bool, CallError> {
        let mut call = self.function("fs1_extend")?;
        call.arg(closes);
        self.done(&call).await
    }

    /// Frees at most 512 reservations' units, in order; per ticket whether it held any.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn release(&self, tickets: &[(TicketNo, ReleaseReason)]) -> Result<Vec<bool>, CallError> {
        let mut bytes = Vec::with_capacity(tickets.len() * 9);
        for (ticket, reason) in tickets {
            // No event of this shard has a number beyond u32: 0, which none has either, is refused by the function.
            let n = u32::try_from(ticket.n).unwrap_or(0);
            bytes.extend_from_slice(&ticket.made.0.to_be_bytes());
            bytes.extend_from_slice(&n.to_be_bytes());
            bytes.push(reason_code(*reason));
        }
        let mut call = self.function("fs1_release")?;
        call.arg(bytes);
        let answer = self.link.bytes(&call).await?;
        let body = accepted(&self.link, &answer)?;
        Ok(body.iter().map(|&released| released == 1).collect())
    }

    /// Sends up to `want` free units of `item` to another shard; `false` if none is free.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn transfer_out(&self, to: ShardId, item: ItemIx, want: u32) -> Result<bool, CallError> {
        let mut call = self.function("fs1_transfer_out")?;
        call.arg(to.0).arg(item.0).arg(want);
        self.done(&call).await
    }

    /// Takes units that another shard sent; `false` if this transfer came in before.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn transfer_in(&self, from: ShardId, transfer: &Outgoing) -> Result<bool, CallError> {
        let number = u32::try_from(transfer.number);
        let number = number.map_err(|_| {
            self.link
                .refused("a transfer's number doesn't fit into 32 bits: use more shards")
        })?;
        let mut call = self.function("fs1_transfer_in")?;
        call.arg(from.0).arg(number).arg(transfer.item.0);
        call.arg(crate::layout::write_ranges(&transfer.units));
        self.done(&call).await
    }

    /// Removes what the outbox holds of events up to `n`; returns how many entries.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn trim(&self, n: Seq) -> Result<u64, CallError> {
        let mut call = self.function("fs1_trim")?;
        call.arg(n);
        let answer = self.link.bytes(&call).await?;
        let body = accepted(&self.link, &answer)?;
        let count = std::str::from_utf8(body).ok().and_then(|text| text.parse().ok());
        count.ok_or_else(|| self.link.unexpected(&"trim"))
    }

    fn claim(&self) -> Result<(Epoch, OwnerId), CallError> {
        self.claim.ok_or(CallError::WrongOwner)
    }

    /// A call with sale, epoch and owner as its first arguments.
    fn function(&self, name: &str) -> Result<Cmd, CallError> {
        let (epoch, owner) = self.claim()?;
        let mut call = function(&self.name, name);
        call.arg(epoch.0).arg(owner.0);
        Ok(call)
    }

    async fn done(&self, call: &Cmd) -> Result<bool, CallError> {
        let answer = self.link.bytes(call).await?;
        match accepted(&self.link, &answer)? {
            [done] => Ok(*done == 1),
            other => Err(self.link.unexpected(&other)),
        }
    }
}

/// Whether a Redis can serve a sale.
async fn fit(link: &Link, persistence: Persistence) -> Result<(), ConnectError> {
    let text: String = link.typed(&cmd("INFO")).await?;
    let lines = text.lines().filter_map(|line| line.split_once(':'));
    let info: HashMap<&str, &str> = lines.collect();
    let unfit = |problem: String, mend: &str| {
        Err(ConnectError::Unfit {
            address: link.address(),
            problem,
            mend: mend.into(),
        })
    };
    let version = info.get("redis_version").copied().unwrap_or_default();
    let major: u32 = version
        .split('.')
        .next()
        .and_then(|v| v.parse().ok())
        .unwrap_or(0);
    if major < MAJOR_MIN {
        return unfit(
            format!("it is version {version}, which has no functions"),
            "use Redis 7.0 or newer",
        );
    }
    if info.get("cluster_enabled") == Some(&"1") {
        return unfit(
            "it is part of a cluster, which moves keys by itself".into(),
            "use a Redis of its own per shard",
        );
    }
    if info.get("role") != Some(&"master") {
        return unfit("it is a replica and read-only".into(), "connect to its primary");
    }
    let policy = info.get("maxmemory_policy").copied().unwrap_or_default();
    if policy.starts_with("allkeys") {
        return unfit(
            format!("its maxmemory-policy {policy} throws reservations away when memory runs out"),
            "set maxmemory-policy noeviction",
        );
    }
    if persistence == Persistence::AppendOnly && info.get("aof_enabled") != Some(&"1") {
        return unfit(
            "it has no append-only file, so a restart loses everything".into(),
            "set appendonly yes",
        );
    }
    Ok(())
}
