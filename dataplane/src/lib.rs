//! The data plane of a flash sale: gateways, shards, workers, payments.
//!
//! The protocol lives in `flashsale-core`; here are the threads, files and sockets around it.

pub mod admin;
pub mod amendments;
pub mod audit;
pub mod bloom;
pub mod board;
pub mod clock;
mod control;
pub mod counters;
pub mod data_dir;
pub mod desk;
pub mod embedded;
pub mod evidence;
pub mod gateway;
pub mod host;
pub mod link;
pub mod live;
pub mod metrics;
pub mod pages;
pub mod roles;
pub mod sale;
pub mod shards;
pub mod shared;
pub mod shop;
pub mod signature;
pub mod switches;
pub mod worker;
