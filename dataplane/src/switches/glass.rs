//! Breaking the glass: a switch for a few minutes by somebody who knows the sale's key, past the API server.

use super::document::{Entry, Source, entries};
use crate::signature;
use flashsale_core::ids::Millis;
use flashsale_crds::{HumanDuration, Switches};
use serde::Deserialize;

/// The longest time for which the glass can be broken.
const VALID_MAX_MS: Millis = 15 * 60 * 1_000;

/// What is asked: a `FlashSaleSwitch` for the sale whose key signs it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Ask {
    set: Switches,
    reason: String,
    actor: String,
    expires_after: HumanDuration,
}

/// Why nothing is switched.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// Whoever asks doesn't know the key, or it was said too long ago.
    Forged,
    /// What is asked can't be.
    Wrong(String),
}

/// The entries that a signed body asks for at `now`. The same body again gives the same entries: it counts from when it
/// was signed.
///
/// # Errors
/// See [`Refused`].
pub(crate) fn broken(secret: &str, header: &str, body: &[u8], now: Millis) -> Result<Vec<Entry>, Refused> {
    if !signature::verify(secret, now / 1_000, header, body) {
        return Err(Refused::Forged);
    }
    let signed = header.strip_prefix("t=").and_then(|rest| rest.split_once(','));
    let signed: Option<Millis> = signed.and_then(|(seconds, _)| seconds.parse().ok());
    let since_ms = signed.ok_or(Refused::Forged)? * 1_000;
    let ask: Ask = serde_json::from_slice(body).map_err(|e| Refused::Wrong(e.to_string()))?;
    if ask.expires_after.millis() > VALID_MAX_MS {
        return Err(Refused::Wrong("expiresAfter: at most 15m".to_owned()));
    }
    if ask.reason.trim().is_empty() || ask.actor.trim().is_empty() {
        return Err(Refused::Wrong(
            "reason and actor: say who does this, and why".to_owned(),
        ));
    }
    let as_in = Entry {
        reason: Some(ask.reason),
        actor: Some(ask.actor),
        since_ms,
        expires_ms: Some(since_ms + ask.expires_after.millis()),
        ..Entry::nobody(Source::BreakGlass)
    };
    match entries(&ask.set, &as_in) {
        none if none.is_empty() => Err(Refused::Wrong("set: name at least one switch".to_owned())),
        all => Ok(all),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::switches::{Kept, Switchboard};
    use serde_json::json;

    const NOW: Millis = 1_800_000_000_000;

    fn asked(change: impl FnOnce(&mut serde_json::Value)) -> Vec<u8> {
        let mut body = json!({
            "set": {"sale": {"paused": true}}, "reason": "it burns", "actor": "sre@shop", "expiresAfter": "10m",
        });
        change(&mut body);
        body.to_string().into_bytes()
    }

    #[test]
    fn whoever_knows_the_key_switches_for_some_minutes_and_once() {
        let body = asked(|_| {});
        let header = signature::sign("key", NOW / 1_000 - 60, &body);
        let glass = broken("key", &header, &body, NOW).unwrap();
        let board = Switchboard::default();
        let kept = |glass| Kept {
            glass,
            ..Kept::default()
        };
        assert!(board.merge(kept(glass), NOW));
        assert!(board.door().paused());
        let again = broken("key", &header, &body, NOW + 120_000).unwrap();
        assert!(
            !board.merge(kept(again), NOW + 120_000),
            "the same again is no news"
        );
        assert!(
            board.tick(NOW + 9 * 60_000) && !board.door().paused(),
            "it counts from when it was signed"
        );
    }

    #[test]
    fn who_does_not_know_the_key_or_asks_for_too_much_is_refused() {
        let (body, at) = (asked(|_| {}), NOW / 1_000);
        for header in [
            signature::sign("other", at, &body),
            signature::sign("key", at - 301, &body),
            signature::sign("key", at, b"{}"),
            String::new(),
        ] {
            assert_eq!(broken("key", &header, &body, NOW), Err(Refused::Forged));
        }
        for body in [
            asked(|body| body["expiresAfter"] = "16m".into()),
            asked(|body| body["actor"] = " ".into()),
            asked(|body| body["set"] = json!({})),
            asked(|body| body["set"] = json!({"sale": {"paused": "yes"}})),
        ] {
            let header = signature::sign("key", at, &body);
            let refused = broken("key", &header, &body, NOW);
            assert!(matches!(refused, Err(Refused::Wrong(_))), "{refused:?}");
        }
    }
}
