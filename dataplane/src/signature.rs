//! Signed calls between the shop, the payment provider and the sale:
//! `Flashsale-Signature: t=<unix seconds>,v1=<hex HMAC-SHA256(secret, "<t>." + body)>`.

use hmac::{Hmac, Mac};
use sha2::Sha256;

/// The header's name.
pub const HEADER: &str = "Flashsale-Signature";
/// A signature older, or further ahead, than this is refused.
pub const SKEW_SECONDS_MAX: u64 = 300;

/// The header's value for `body`, signed at `seconds` since 1970.
#[must_use]
pub fn sign(secret: &str, seconds: u64, body: &[u8]) -> String {
    let signature = hex(&mac(secret, seconds, body).finalize().into_bytes());
    format!("t={seconds},v1={signature}")
}

/// Two small hexadecimal digits for each byte.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether `header` signs `body`, and recently at `now` seconds since 1970. Takes the same time
/// whatever is wrong with the signature.
#[must_use]
pub fn verify(secret: &str, now: u64, header: &str, body: &[u8]) -> bool {
    let Some((seconds, hex)) = header.strip_prefix("t=").and_then(|rest| rest.split_once(",v1=")) else {
        return false;
    };
    let Ok(seconds) = seconds.parse::<u64>() else {
        return false;
    };
    let Some(signature) = unhex(hex) else { return false };
    seconds.abs_diff(now) <= SKEW_SECONDS_MAX && mac(secret, seconds, body).verify_slice(&signature).is_ok()
}

fn mac(secret: &str, seconds: u64, body: &[u8]) -> Hmac<Sha256> {
    // HMAC takes keys of any length.
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap_or_else(|_| unreachable!());
    mac.update(format!("{seconds}.").as_bytes());
    mac.update(body);
    mac
}

fn unhex(hex: &str) -> Option<Vec<u8>> {
    let digits = hex.as_bytes();
    if digits.len() != 64 {
        return None;
    }
    digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_body_secret_and_time_verify() {
        let header = sign("secret", 1_000, b"body");
        assert!(verify("secret", 1_300, &header, b"body"));
        assert!(!verify("secret", 1_301, &header, b"body"));
        assert!(!verify("secret", 1_000, &header, b"Body"));
        assert!(!verify("Secret", 1_000, &header, b"body"));
        assert!(!verify(
            "secret",
            1_000,
            &header.replace("t=1000", "t=1001"),
            b"body"
        ));
        assert!(!verify("secret", 1_000, "t=1000,v1=", b"body"));
        assert!(!verify("secret", 1_000, "", b"body"));
    }
}
