//! Real servers for tests and demos: each in a directory of its own, on free ports of the loopback address,
//! ended by its process id when its handle is dropped.

mod parts;
mod postgres;
mod process;
mod pulsar;
mod redis;

pub use parts::{Counts, RealParts};
pub use postgres::PostgresServer;
pub use process::{Process, StartError, free_port};
pub use pulsar::PulsarServer;
pub use redis::{Aof, RedisOptions, RedisServer};
