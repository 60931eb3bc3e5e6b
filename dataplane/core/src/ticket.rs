//! What a buyer holds after a purchase was taken, and what it says at any time.

use crate::event::{ReleaseReason, TicketNo};
use crate::fold::made_of;
use crate::ids::{BuyerKey, Epoch, ItemIx, SaleUid, ShardId};
use crate::order::State;
use crate::owner::Progress;
use subtle::ConstantTimeEq;

/// A ticket's content. Signed for one buyer: nobody else can use or make it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ticket {
    /// The shard that holds it.
    pub shard: ShardId,
    /// Its number there.
    pub no: TicketNo,
    /// Of which item.
    pub item: ItemIx,
    /// How many units.
    pub quantity: u16,
    /// Its place in the item's queue, from 1.
    pub place: u32,
}

/// Bytes of a ticket's content.
const BODY: usize = 2 + 4 + 8 + 2 + 2 + 4;
/// Bytes of a ticket's signature: 128 bits.
const MAC: usize = 16;

/// The bytes of a ticket, before they are written as text.
pub type TicketBytes = [u8; BODY + MAC];

/// Signs and checks the tickets of one sale.
#[derive(Clone)]
pub struct Signer {
    key: [u8; 32],
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Signer(redacted)")
    }
}

impl Signer {
    /// The signer of the sale `uid` with its secret.
    #[must_use]
    pub fn new(uid: SaleUid, secret: &[u8]) -> Self {
        let mut material = uid.0.to_be_bytes().to_vec();
        material.extend_from_slice(secret);
        Self {
            key: blake3::derive_key("flashsale 2026 ticket signatures", &material),
        }
    }

    /// The ticket's bytes, signed for `buyer`.
    #[must_use]
    pub fn sign(&self, ticket: &Ticket, buyer: BuyerKey) -> TicketBytes {
        let mut bytes = [0; BODY + MAC];
        let Ticket {
            shard,
            no,
            item,
            quantity,
            place,
        } = *ticket;
        bytes[0..2].copy_from_slice(&shard.0.to_be_bytes());
        bytes[2..6].copy_from_slice(&no.made.0.to_be_bytes());
        bytes[6..14].copy_from_slice(&no.n.to_be_bytes());
        bytes[14..16].copy_from_slice(&item.0.to_be_bytes());
        bytes[16..18].copy_from_slice(&quantity.to_be_bytes());
        bytes[18..22].copy_from_slice(&place.to_be_bytes());
        let mac = self.mac(&bytes[..BODY], buyer);
        bytes[BODY..].copy_from_slice(&mac);
        bytes
    }

    /// The ticket in `bytes`, if it was signed for `buyer` by this sale. Takes the same time whatever
    /// is wrong with the signature.
    #[must_use]
    pub fn open(&self, bytes: &TicketBytes, buyer: BuyerKey) -> Option<Ticket> {
        let mac = self.mac(&bytes[..BODY], buyer);
        if !bool::from(mac.ct_eq(&bytes[BODY..])) {
            return None;
        }
        let u16_at = |at: usize| u16::from_be_bytes([bytes[at], bytes[at + 1]]);
        let u32_at = |at: usize| (u32::from(u16_at(at)) << 16) | u32::from(u16_at(at + 2));
        let n = (u64::from(u32_at(6)) << 32) | u64::from(u32_at(10));
        Some(Ticket {
            shard: ShardId(u16_at(0)),
            no: TicketNo {
                made: Epoch(u32_at(2)),
                n,
            },
            item: ItemIx(u16_at(14)),
            quantity: u16_at(16),
            place: u32_at(18),
        })
    }

    fn mac(&self, body: &[u8], buyer: BuyerKey) -> [u8; MAC] {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        hasher.update(body).update(&buyer.0.to_be_bytes());
        let mut mac = [0; MAC];
        mac.copy_from_slice(&hasher.finalize().as_bytes()[..MAC]);
        mac
    }
}

/// What a ticket says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Shown {
    /// Taken, and not durable yet: no promise.
    Queued,
    /// Durable: becomes an order, or is closed for a stated reason.
    Reserved,
    /// The order is made and waits for payment.
    Ordered,
    /// Paid.
    Paid,
    /// Closed.
    Closed(ReleaseReason),
    /// The reservation was lost before it was promised: nothing was taken and nothing is owed.
    Lost,
}

impl Shown {
    /// The state's word in the API, and the reason's if it has one.
    #[must_use]
    pub fn words(self) -> (&'static str, Option<&'static str>) {
        match self {
            Self::Queued => ("queued", None),
            Self::Reserved => ("reserved", None),
            Self::Ordered => ("ordered", None),
            Self::Paid => ("paid", None),
            Self::Closed(reason) => ("closed", Some(reason.word())),
            Self::Lost => ("failed", Some("lost")),
        }
    }

    /// Whether nothing comes after it.
    #[must_use]
    pub fn is_final(self) -> bool {
        matches!(self, Self::Paid | Self::Closed(_) | Self::Lost)
    }
}

/// What `ticket` says, by its shard's progress and its order's state if the database has one.
#[must_use]
pub fn shown(ticket: TicketNo, progress: &Progress, order: Option<State>) -> Shown {
    match order {
        Some(State::Pending) => return Shown::Ordered,
        Some(State::Paid) => return Shown::Paid,
        Some(State::Closed(reason)) => return Shown::Closed(reason),
        // An applied reservation was durable before, whatever this progress knows of it yet.
        Some(State::Reserved) => return Shown::Reserved,
        None => {}
    }
    let promised = ticket.n <= progress.promised;
    if promised && made_of(&progress.segments, ticket.n) == Some(ticket.made) {
        Shown::Reserved
    } else if ticket.made < progress.excludes_before {
        Shown::Lost
    } else {
        Shown::Queued
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fold::Segment;

    const TICKET: Ticket = Ticket {
        shard: ShardId(513),
        no: TicketNo {
            made: Epoch(7),
            n: 1 << 40,
        },
        item: ItemIx(3),
        quantity: 2,
        place: 99_000,
    };

    #[test]
    fn a_ticket_opens_for_its_buyer_only_and_not_when_changed() {
        let signer = Signer::new(SaleUid(1), b"secret");
        let bytes = signer.sign(&TICKET, BuyerKey(5));
        assert_eq!(signer.open(&bytes, BuyerKey(5)), Some(TICKET));
        assert_eq!(signer.open(&bytes, BuyerKey(6)), None);
        assert_eq!(Signer::new(SaleUid(2), b"secret").open(&bytes, BuyerKey(5)), None);
        for bit in 0..bytes.len() * 8 {
            let mut forged = bytes;
            forged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(signer.open(&forged, BuyerKey(5)), None);
        }
    }

    #[test]
    fn a_number_that_came_again_in_a_later_epoch_is_another_ticket() {
        let progress = Progress {
            epoch: Epoch(2),
            promised: 5,
            applied: 0,
            next: 6,
            excludes_before: Epoch(2),
            segments: vec![
                Segment {
                    first: 1,
                    made: Epoch(1),
                },
                Segment {
                    first: 4,
                    made: Epoch(2),
                },
            ],
        };
        let at = |made, n| shown(TicketNo { made: Epoch(made), n }, &progress, None);
        assert_eq!(at(1, 3), Shown::Reserved);
        assert_eq!(at(1, 4), Shown::Lost);
        assert_eq!(at(2, 4), Shown::Reserved);
        assert_eq!(at(2, 6), Shown::Queued);
    }
}
