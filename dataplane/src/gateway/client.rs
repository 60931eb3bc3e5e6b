//! Where a client is, when there are proxies in between.

use flashsale_http::Request;
use ipnet::IpNet;
use std::net::IpAddr;

/// The most addresses that are looked at.
const HOPS_MAX: usize = 16;

/// The address that the first trusted proxy was called from: the last one in `X-Forwarded-For` that isn't itself a
/// trusted proxy's. Whatever stands further to the left, the client may have written. Of whoever isn't a trusted
/// proxy, the connection's own address.
pub(super) fn of(request: &Request<'_>, trusted: &[IpNet]) -> IpAddr {
    let peer = request.peer.ip().to_canonical();
    if trusted.is_empty() || !is_in(trusted, peer) {
        return peer;
    }
    // Said more than once, nobody knows in which order.
    match request.headers.get_once("x-forwarded-for") {
        Ok(Some(forwarded)) => nearest(forwarded, trusted, peer),
        Ok(None) | Err(_) => peer,
    }
}

fn is_in(networks: &[IpNet], address: IpAddr) -> bool {
    networks.iter().any(|network| network.contains(&address))
}

fn nearest(forwarded: &[u8], trusted: &[IpNet], peer: IpAddr) -> IpAddr {
    let Ok(text) = std::str::from_utf8(forwarded) else {
        return peer;
    };
    let mut nearest = peer;
    for hop in text.rsplit(',').take(HOPS_MAX) {
        let Ok(address) = hop.trim().parse::<IpAddr>() else {
            return nearest;
        };
        nearest = address.to_canonical();
        if !is_in(trusted, nearest) {
            return nearest;
        }
    }
    nearest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_trusted_proxies_have_written_is_believed() {
        let trusted: Vec<IpNet> = vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()];
        let peer: IpAddr = "10.0.0.1".parse().unwrap();
        for (forwarded, client) in [
            ("203.0.113.7", "203.0.113.7"),
            ("198.51.100.1, 203.0.113.7", "203.0.113.7"),
            ("198.51.100.1, 203.0.113.7, 10.2.3.4", "203.0.113.7"),
            ("203.0.113.7,fd00::1 , ::ffff:10.9.9.9", "203.0.113.7"),
            ("2001:db8::7", "2001:db8::7"),
            ("10.5.5.5, 10.2.3.4", "10.5.5.5"),
            ("203.0.113.7, unknown", "10.0.0.1"),
            ("203.0.113.7, nobody, 10.2.3.4", "10.2.3.4"),
            ("", "10.0.0.1"),
        ] {
            let found = nearest(forwarded.as_bytes(), &trusted, peer);
            assert_eq!(found, client.parse::<IpAddr>().unwrap(), "{forwarded}");
        }
    }
}
