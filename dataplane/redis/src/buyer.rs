//! What a gateway has of a shard.

use crate::address::Options;
use crate::error::{CallError, ConnectError};
use crate::gate::Credentials;
use crate::link::Link;
use crate::names::ShardName;
use crate::sidecar::Standing;
use crate::wire::{self, codes};
use flashsale_core::attempt::{Attempt, Registered, Verdict};
use flashsale_core::ids::{BuyerKey, Epoch, Millis};
use redis::{Cmd, cmd};
use std::time::Duration;

/// A gateway's connection to one shard. Clones share the connection, and several calls may be under way on it.
///
/// A dropped future is not a cancelled call: its outcome is unknown.
#[derive(Debug, Clone)]
pub struct BuyerShard {
    name: ShardName,
    link: Link,
}

impl BuyerShard {
    /// Connects with what the gate's opening gave.
    ///
    /// # Errors
    /// The Redis can't be reached, or the gate was closed since.
    pub async fn connect(
        options: &Options,
        name: ShardName,
        login: &Credentials,
    ) -> Result<Self, ConnectError> {
        let login = Some((login.user.as_str(), login.password.as_str()));
        let link = Link::connect(options, login, Duration::ZERO).await?;
        Ok(Self { name, link })
    }

    /// Decides a batch of at most [`wire::ATTEMPTS_MAX`] attempts in order. `places`: per item, how many places other shards have
    /// given out; what is missing counts as 0.
    ///
    /// # Errors
    /// See [`CallError`]; unless it is `Unknown`, nothing was taken.
    pub async fn purchase(
        &self,
        epoch: Epoch,
        places: &[u32],
        attempts: &[Attempt],
    ) -> Result<Vec<Verdict>, CallError> {
        self.purchase_at(epoch, places, attempts)
            .await
            .map(|(_, verdicts)| verdicts)
    }

    /// The same, with the time of the decision by the clock of Redis.
    ///
    /// # Errors
    /// As [`Self::purchase`].
    pub async fn purchase_at(
        &self,
        epoch: Epoch,
        places: &[u32],
        attempts: &[Attempt],
    ) -> Result<(Millis, Vec<Verdict>), CallError> {
        let (requests, ids) = wire::encode(attempts).map_err(|why| self.link.refused(why))?;
        let places: Vec<u8> = places.iter().flat_map(|place| place.to_be_bytes()).collect();
        let mut call = function(&self.name, "fs1_purchase");
        call.arg(epoch.0).arg("").arg(places).arg(requests).arg(ids);
        let answer = self.link.bytes(&call).await?;
        let body = accepted(&self.link, &answer)?;
        wire::decode(body, epoch, attempts).ok_or_else(|| self.link.unexpected(&"purchase"))
    }

    /// Registers at most 512 buyers in order.
    ///
    /// # Errors
    /// See [`CallError`]; unless it is `Unknown`, nobody was registered.
    pub async fn register(&self, epoch: Epoch, buyers: &[BuyerKey]) -> Result<Vec<Registered>, CallError> {
        register(&self.link, &self.name, epoch, "", buyers).await
    }

    /// Where the shard stands.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn status(&self) -> Result<Standing, CallError> {
        Standing::ask(&self.link, &self.name).await
    }
}

/// A call of a function on a shard, with its sale's uid as the first argument.
pub(crate) fn function(name: &ShardName, function: &str) -> Cmd {
    let mut call = cmd("FCALL");
    call.arg(function).arg(1).arg(name.key("meta")).arg(name.uid());
    call
}

pub(crate) async fn register(
    link: &Link,
    name: &ShardName,
    epoch: Epoch,
    owner: &str,
    buyers: &[BuyerKey],
) -> Result<Vec<Registered>, CallError> {
    let keys: Vec<u8> = buyers.iter().flat_map(|buyer| buyer.0.to_be_bytes()).collect();
    let mut call = function(name, "fs1_register");
    call.arg(epoch.0).arg(owner).arg(keys);
    let answer = link.bytes(&call).await?;
    let answers = accepted(link, &answer)?.iter().map(|code| match code {
        0 => Some(Registered::New),
        1 => Some(Registered::Already),
        2 => Some(Registered::Full),
        _ => None,
    });
    let answers = answers.collect::<Option<Vec<_>>>();
    answers
        .filter(|a| a.len() == buyers.len())
        .ok_or_else(|| link.unexpected(&"register"))
}

/// What follows the result code 0, or what another code means (`lua/shared.lua`).
pub(crate) fn accepted<'a>(link: &Link, answer: &'a [u8]) -> Result<&'a [u8], CallError> {
    let (code, body) = answer
        .split_first()
        .ok_or_else(|| link.unexpected(&"an empty answer"))?;
    Err(match *code {
        codes::OK => return Ok(body),
        codes::ABSENT => CallError::Absent,
        codes::WRONG_SALE => CallError::WrongSale,
        codes::WRONG_EPOCH => CallError::WrongEpoch,
        codes::WRONG_OWNER => CallError::WrongOwner,
        codes::CLOSED => CallError::Closed,
        codes::MALFORMED => {
            link.refused("an argument can't be read (an item that doesn't exist, or more than fits one call)")
        }
        codes::FULL => link.refused("the shard's numbers are used up: use more shards"),
        other => link.unexpected(&format!("result code {other}")),
    })
}
