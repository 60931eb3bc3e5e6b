//! Rooms and shards.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;

/// A room that serves the sale.
#[skip_serializing_none]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RoomStatus {
    /// The room's name in the class.
    #[schemars(length(max = 63))]
    pub name: String,
    /// Where it stands.
    pub state: Option<RoomState>,
    /// Gateways that serve, of those wanted, as `4/4`.
    #[schemars(length(max = 16))]
    pub gateways: Option<String>,
    /// Shards that serve, of those at home here, as `8/8`.
    #[schemars(length(max = 16))]
    pub shards: Option<String>,
}

/// Where a room stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RoomState {
    /// Its pods aren't ready yet.
    Pending,
    /// It serves buyers.
    Serving,
    /// It takes no new buyers.
    Draining,
    /// It can't be reached; its shards reopen elsewhere.
    Lost,
}

/// A shard of the sale.
#[skip_serializing_none]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ShardStatus {
    /// Its number, from 0.
    #[schemars(range(min = 0, max = 127))]
    pub id: i32,
    /// The room that it is in.
    #[schemars(length(max = 63))]
    pub room: Option<String>,
    /// Where it stands.
    pub state: Option<ShardState>,
    /// The epoch of its owner.
    #[schemars(range(min = 0))]
    pub epoch: Option<i64>,
    /// The last event that orders were made up to.
    #[schemars(range(min = 0))]
    pub applied: Option<i64>,
}

/// Where a shard stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ShardState {
    /// It refuses buyers.
    Closed,
    /// Its stock is being loaded.
    Loading,
    /// It sells from Redis.
    Redis,
    /// It sells from the engine within its sidecar.
    Embedded,
    /// Another sidecar is taking it over.
    TakingOver,
    /// Its books agree.
    Settled,
}
