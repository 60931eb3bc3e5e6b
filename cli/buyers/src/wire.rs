//! Requests, rendered by hand into a buffer that is reused.

use std::io::Write as _;

use hmac::{Hmac, Mac};
use serde::Serialize;
use sha2::Sha256;

use crate::config::{Auth, CrowdConfig};

/// The parts of a request that never change, written once.
pub(crate) struct Wire {
    buy_head: Vec<u8>,
    /// Per item: `Content-Length`, blank line and body.
    buy_tail: Vec<Vec<u8>>,
    host: Vec<u8>,
    watch: Vec<u8>,
    auth: Auth,
    hmac: Option<Hmac<Sha256>>,
    body: Vec<u8>,
}

/// The body of a payment callback.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Payment<'a> {
    pub(crate) payment_id: &'a str,
    pub(crate) order_id: &'a str,
    pub(crate) amount: &'a str,
    pub(crate) currency: &'a str,
}

impl Wire {
    pub(crate) fn new(config: &CrowdConfig) -> Self {
        let host = format!("Host: {}\r\n", config.host);
        let buy_head = format!(
            "POST /v1/sales/{}/purchases HTTP/1.1\r\n{host}Content-Type: application/json\r\n",
            config.sale
        );
        let buy_tail = config.items.iter().map(|item| {
            let body = format!(r#"{{"item":"{}","quantity":1}}"#, item.id);
            format!("Content-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
        });
        let watch = format!("GET /v1/sales/{} HTTP/1.1\r\n{host}\r\n", config.sale);
        Self {
            buy_head: buy_head.into_bytes(),
            buy_tail: buy_tail.collect(),
            watch: watch.into_bytes(),
            host: host.into_bytes(),
            auth: config.auth.clone(),
            // An HMAC takes a key of any length, so the error case does not exist.
            hmac: config
                .payment_secret
                .as_ref()
                .and_then(|s| Hmac::new_from_slice(s.bytes()).ok()),
            body: Vec::with_capacity(256),
        }
    }

    /// `POST …/purchases` for an item under a key.
    pub(crate) fn buy(&self, to: &mut Vec<u8>, name: &[u8], key: &[u8], item: usize) {
        to.extend_from_slice(&self.buy_head);
        self.identify(to, name);
        to.extend_from_slice(b"Idempotency-Key: ");
        to.extend_from_slice(key);
        to.extend_from_slice(b"\r\n");
        to.extend_from_slice(&self.buy_tail[item]);
    }

    /// `GET` or `DELETE /v1/tickets/…`.
    pub(crate) fn ticket(&self, to: &mut Vec<u8>, method: &str, name: &[u8], ticket: &str) {
        let _ = write!(to, "{method} /v1/tickets/{ticket} HTTP/1.1\r\n"); // A Vec takes everything.
        to.extend_from_slice(&self.host);
        self.identify(to, name);
        to.extend_from_slice(b"\r\n");
    }

    /// `GET /v1/sales/{sale}`, the shared look.
    pub(crate) fn watch(&self, to: &mut Vec<u8>) {
        to.extend_from_slice(&self.watch);
    }

    /// Whether payments can be signed at all.
    pub(crate) fn can_pay(&self) -> bool {
        self.hmac.is_some()
    }

    /// `POST /v1/payments/callback`, signed as the payment provider would.
    pub(crate) fn pay(&mut self, to: &mut Vec<u8>, payment: &Payment<'_>, unix_seconds: u64) {
        self.body.clear();
        // Writing strings to a Vec cannot fail.
        let _ = serde_json::to_writer(&mut self.body, payment);
        to.extend_from_slice(b"POST /v1/payments/callback HTTP/1.1\r\n");
        to.extend_from_slice(&self.host);
        let _ = write!(to, "Flashsale-Signature: t={unix_seconds},v1=");
        if let Some(mut mac) = self.hmac.clone() {
            mac.update(format!("{unix_seconds}.").as_bytes());
            mac.update(&self.body);
            for byte in mac.finalize().into_bytes() {
                to.extend_from_slice(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
            }
        }
        let _ = write!(
            to,
            "\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            self.body.len()
        );
        to.extend_from_slice(&self.body);
    }

    fn identify(&self, to: &mut Vec<u8>, name: &[u8]) {
        match &self.auth {
            Auth::Header => {
                to.extend_from_slice(b"X-Buyer-Id: ");
                to.extend_from_slice(name);
            }
            Auth::Bearer(make) => {
                to.extend_from_slice(b"Authorization: Bearer ");
                to.extend_from_slice(make(&String::from_utf8_lossy(name)).as_bytes());
            }
        }
        to.extend_from_slice(b"\r\n");
    }
}

const HEX: &[u8; 16] = b"0123456789abcdef";

/// Appends an idempotency key: at most 33 visible ASCII characters.
pub(crate) fn write_key(to: &mut Vec<u8>, seed: u64, buyer: u32, key: u8) {
    let _ = write!(to, "k{seed:x}-{buyer}-{key}"); // A Vec takes everything.
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Item, PaymentSecret};
    use std::net::SocketAddr;
    use std::sync::Arc;

    fn config() -> CrowdConfig {
        CrowdConfig::new(
            SocketAddr::from(([127, 0, 0, 1], 1)),
            "s",
            vec![Item::new("a", 1), Item::new("bc", 1)],
            1,
        )
    }

    #[test]
    fn a_purchase_is_a_whole_request_with_key_and_item() {
        let mut out = Vec::new();
        Wire::new(&config()).buy(&mut out, b"b1-7", b"k1-7-0", 1);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "POST /v1/sales/s/purchases HTTP/1.1\r\nHost: flashsale\r\nContent-Type: application/json\r\n\
             X-Buyer-Id: b1-7\r\nIdempotency-Key: k1-7-0\r\nContent-Length: 26\r\n\r\n{\"item\":\"bc\",\"quantity\":1}"
        );
    }

    #[test]
    fn a_bearer_token_takes_the_place_of_the_header() {
        let mut config = config();
        config.auth = Auth::Bearer(Arc::new(|buyer| format!("token-of-{buyer}")));
        let mut out = Vec::new();
        Wire::new(&config).ticket(&mut out, "GET", b"b1-7", "t9");
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "GET /v1/tickets/t9 HTTP/1.1\r\nHost: flashsale\r\nAuthorization: Bearer token-of-b1-7\r\n\r\n"
        );
    }

    #[test]
    fn a_payment_is_signed_over_time_and_raw_body() {
        let mut config = config();
        config.payment_secret = Some(PaymentSecret::new("secret"));
        let payment = Payment {
            payment_id: "p\"1",
            order_id: "o1",
            amount: "1.00",
            currency: "EUR",
        };
        let mut out = Vec::new();
        Wire::new(&config).pay(&mut out, &payment, 1700000000);
        let text = String::from_utf8(out).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert_eq!(
            body,
            r#"{"paymentId":"p\"1","orderId":"o1","amount":"1.00","currency":"EUR"}"#
        );
        // Computed with: printf '1700000000.<body>' | openssl dgst -sha256 -hmac secret
        assert!(
            head.contains("t=1700000000,v1=5e2383ad5e21799d40b2944e49c9ee21d97627d62590c207317111978a31bb68"),
            "{head}"
        );
    }
}
