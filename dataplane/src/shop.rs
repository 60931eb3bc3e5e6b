//! Signed calls to the shop.

use crate::clock::now_ms;
use crate::signature;
use std::time::Duration;

/// Where a call goes, and how long its answer is waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Where to POST.
    pub url: String,
    /// How long its answer is waited for.
    pub timeout: Duration,
}

/// Sends calls; one for all keeps their connections.
#[must_use]
pub fn client() -> reqwest::Client {
    reqwest::Client::new()
}

/// What is told.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    /// The same each time that it is repeated.
    pub id: &'a str,
    /// What happened, in one word.
    pub event: &'a str,
    /// JSON.
    pub body: &'a str,
}

impl Call {
    /// Sends a message, signed with `secret`.
    ///
    /// # Errors
    /// No answer in time, or one that isn't 2xx: in one line, without the address.
    pub async fn send(
        &self,
        client: &reqwest::Client,
        secret: &str,
        message: Message<'_>,
    ) -> Result<(), String> {
        let signature = signature::sign(secret, now_ms() / 1000, message.body.as_bytes());
        let sent = client
            .post(&self.url)
            .timeout(self.timeout)
            .header("Content-Type", "application/json")
            .header("Flashsale-Message-Id", message.id)
            .header("Flashsale-Event", message.event)
            .header(signature::HEADER, signature)
            .body(message.body.to_owned())
            .send();
        let answer = sent.await.map_err(|error| error.without_url().to_string())?;
        let status = answer.status();
        if status.is_success() {
            Ok(())
        } else {
            Err(format!("it answered {status}"))
        }
    }
}
