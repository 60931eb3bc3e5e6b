//! What PostgreSQL keeps of a password (RFC 5803), made here: a password in a statement would be in the server's log.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac as _};
use sha2::{Digest as _, Sha256};

/// How often the password is hashed, as PostgreSQL does by itself.
const ITERATIONS: u32 = 4096;

fn mac(key: &[u8], text: &[u8]) -> [u8; 32] {
    // A key of any length will do.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else {
        return [0; 32];
    };
    mac.update(text);
    mac.finalize().into_bytes().into()
}

/// `SCRAM-SHA-256$…` for a password of ASCII characters.
pub(super) fn verifier(password: &str, salt: [u8; 16]) -> String {
    let mut last = mac(password.as_bytes(), &[&salt[..], &1_u32.to_be_bytes()].concat());
    let mut salted = last;
    for _ in 1..ITERATIONS {
        last = mac(password.as_bytes(), &last);
        salted.iter_mut().zip(last).for_each(|(sum, byte)| *sum ^= byte);
    }
    let stored = Sha256::digest(mac(&salted, b"Client Key"));
    let server = mac(&salted, b"Server Key");
    format!(
        "SCRAM-SHA-256${ITERATIONS}:{}${}:{}",
        STANDARD.encode(salt),
        STANDARD.encode(stored),
        STANDARD.encode(server)
    )
}
