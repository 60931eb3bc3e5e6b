//! How many connections each client address has, over all threads.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Counts connections by client address. The lock is taken when a connection opens and closes, never per request.
#[derive(Debug, Default)]
pub(crate) struct Peers {
    open: Mutex<HashMap<IpAddr, u32>>,
}

/// One connection's place in the count; given back on drop.
#[derive(Debug)]
pub(crate) struct PeerSlot {
    peers: Arc<Peers>,
    key: IpAddr,
}

/// The part of an address that one client can't change at will: for IPv6 the first 64 bits.
fn key(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6((u128::from(v6) >> 64 << 64).into()),
        v4 => v4,
    }
}

impl Peers {
    fn open(&self) -> MutexGuard<'_, HashMap<IpAddr, u32>> {
        // A count can't be left half changed, so a panic elsewhere while it was held does no harm.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a place for a connection from `address`, unless it has `limit` of them.
    pub(crate) fn take(self: &Arc<Self>, address: IpAddr, limit: u32) -> Option<PeerSlot> {
        let key = key(address);
        let mut open = self.open();
        let count = open.entry(key).or_default();
        if *count >= limit {
            return None;
        }
        *count += 1;
        Some(PeerSlot {
            peers: self.clone(),
            key,
        })
    }
}

impl Drop for PeerSlot {
    fn drop(&mut self) {
        let mut open = self.peers.open();
        if let Some(count) = open.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_given_back_can_be_taken_again() {
        let peers = Arc::new(Peers::default());
        let address = "192.0.2.7".parse().unwrap();
        let first = peers.take(address, 1).unwrap();
        assert!(peers.take(address, 1).is_none());
        drop(first);
        assert!(peers.open().is_empty());
        assert!(peers.take(address, 1).is_some());
    }

    #[test]
    fn addresses_of_one_ipv6_network_share_a_count_and_a_mapped_address_is_ipv4() {
        let peers = Arc::new(Peers::default());
        let _first = peers.take("2001:db8::1".parse().unwrap(), 1).unwrap();
        assert!(peers.take("2001:db8::2".parse().unwrap(), 1).is_none());
        assert!(peers.take("2001:db8:0:1::1".parse().unwrap(), 1).is_some());
        let _v4 = peers.take("192.0.2.1".parse().unwrap(), 1).unwrap();
        assert!(peers.take("::ffff:192.0.2.1".parse().unwrap(), 1).is_none());
    }
}
