//! Whole seeded sequences of steps.

use crate::pair::{Differs, Pair};
use flashsale_core::attempt::Attempt;
use flashsale_core::engine::{Outgoing, Rules};
use flashsale_core::event::{Change, ReleaseReason, TicketNo};
use flashsale_core::ids::{BuyerKey, Epoch, ItemIx, Keyring, SaleUid, ShardId};
use flashsale_core::units::UnitRange;
use flashsale_redis::{Options, ShardName};
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use std::time::{SystemTime, UNIX_EPOCH};

const REASONS: [ReleaseReason; 4] = [
    ReleaseReason::Cancelled,
    ReleaseReason::Unpaid,
    ReleaseReason::Backlog,
    ReleaseReason::Refused,
];

/// What one sequence is drawn from.
struct World {
    rng: Xoshiro256PlusPlus,
    ring: Keyring,
    buyers: Vec<(BuyerKey, String)>,
    items: u16,
    quantity_max: u32,
    batch_max: usize,
    load_max: u32,
    /// Per item, the next unit that nobody has seen.
    unseen: Vec<u32>,
    transfers: Vec<(ShardId, Outgoing)>,
}

/// Runs the sequence of `seed`.
pub(crate) async fn run(options: &Options, seed: u64, source: &str) -> Result<(), Differs> {
    let uid = SaleUid(u128::from(seed) << 64 | 0xf1a5);
    let mut world = World::new(seed, uid);
    let rules = world.rules();
    let name = ShardName::new(uid, ShardId(world.rng.random_range(0..64)));
    let mut pair = Pair::new(options.clone(), name, rules, source).await?;
    for item in 0..world.items {
        let units = world.fresh(item, 1..world.load_max);
        pair.load(1, ItemIx(item), units).await?;
    }
    for step in 0..world.rng.random_range(5..40) {
        world
            .step(&mut pair)
            .await
            .map_err(|e| format!("step {step}: {e}"))?;
        if world.rng.random_bool(0.3) {
            pair.same_state()
                .await
                .map_err(|e| format!("after step {step}: {e}"))?;
        }
    }
    pair.same_state().await?;
    pair.sidecar.drop_sale().await.map_err(|e| e.to_string())?;
    Ok(())
}

impl World {
    fn new(seed: u64, uid: SaleUid) -> Self {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        let ring = Keyring::new(uid);
        let count = [1, 3, 20, 300][rng.random_range(0..4)];
        // Keys that share their slot and even their tag: only the record tells these buyers apart.
        let alike = rng.random_bool(0.3);
        let low = rng.random::<u64>() & 0xffff_ffff_ffff;
        let buyers = (0..count).map(|i| {
            let id = format!("buyer-{i}");
            let key = ring.buyer(&id).0;
            let key = if alike {
                (key >> 48 << 48) | u128::from(low)
            } else {
                key
            };
            (BuyerKey(key), id)
        });
        let items = rng.random_range(1..4);
        Self {
            buyers: buyers.collect(),
            ring,
            items,
            quantity_max: [1, 3, 300][rng.random_range(0..3)],
            batch_max: [2, 30, 512][rng.random_range(0..3)],
            // Enough, at times, that the index has to grow.
            load_max: [20, 200, 2000][rng.random_range(0..3)],
            unseen: vec![0; usize::from(items)],
            transfers: Vec::new(),
            rng,
        }
    }

    fn rules(&mut self) -> Rules {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64;
        let (opens, closes) = match self.rng.random_range(0..10) {
            0 => (now + 3_600_000, u64::MAX),
            1 => (0, now - 1),
            2 => (now + self.rng.random_range(0..40), u64::MAX),
            3 => (0, now + self.rng.random_range(1..40)),
            4 => (now, now + 3_600_000),
            _ => (0, u64::MAX),
        };
        let limit_max = self.quantity_max * 2;
        Rules {
            opens,
            closes,
            limits: (0..self.items)
                .map(|_| self.rng.random_range(1..=limit_max))
                .collect(),
            registered_only: self.rng.random_bool(0.2),
            registrations_max: self.rng.random_range(0..400),
        }
    }

    /// Units that nobody has seen yet.
    fn fresh(&mut self, item: u16, len: std::ops::Range<u32>) -> UnitRange {
        let first = self.unseen[usize::from(item)];
        let len = self.rng.random_range(len);
        self.unseen[usize::from(item)] += len;
        UnitRange { first, len }
    }

    async fn step(&mut self, pair: &mut Pair) -> Result<(), Differs> {
        let item = ItemIx(self.rng.random_range(0..self.items));
        match self.rng.random_range(0..100) {
            0..45 => {
                let places: Vec<u32> = (0..self.rng.random_range(0..=self.items))
                    .map(|_| self.rng.random_range(0..1000))
                    .collect();
                pair.purchase(&places, &self.attempts()).await
            }
            45..53 => {
                let count = self.rng.random_range(1..self.batch_max.max(2));
                let buyers: Vec<BuyerKey> = (0..count).map(|_| self.buyer().0).collect();
                pair.register(&buyers, self.rng.random()).await
            }
            53..60 => {
                let units = self.fresh(item.0, 0..self.load_max);
                pair.load(self.rng.random_range(1..5), item, units).await
            }
            60..75 => pair.release(&self.tickets(pair)).await,
            75..82 => {
                let want = [0, 1, 7, 1000][self.rng.random_range(0..4)];
                pair.transfer_out(ShardId(self.rng.random_range(0..4)), item, want)
                    .await
            }
            82..90 => {
                let (from, transfer) = self.transfer(item);
                pair.transfer_in(from, &transfer).await
            }
            90..92 => {
                let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64;
                // Earlier than it ends, in a moment, later.
                let by = [0, 30, 3_600_000, 7_200_000][self.rng.random_range(0..4)];
                pair.extend(now + by).await
            }
            92..96 => pair.take_over().await,
            _ => {
                let n = self.rng.random_range(0..=pair.engine.len());
                pair.trim(n).await
            }
        }
    }

    fn buyer(&mut self) -> (BuyerKey, String) {
        let at = self.rng.random_range(0..self.buyers.len());
        self.buyers[at].clone()
    }

    fn attempts(&mut self) -> Vec<Attempt> {
        let count = self.rng.random_range(0..=self.batch_max);
        let attempts = (0..count).map(|token| {
            let (buyer, id) = self.buyer();
            let key = self.rng.random_bool(0.4).then(|| self.rng.random_range(0..4u8));
            Attempt {
                token: token as u64,
                buyer,
                buyer_id: id.into(),
                item: ItemIx(self.rng.random_range(0..self.items)),
                quantity: self.rng.random_range(1..=self.quantity_max),
                key: key.map(|key| self.ring.request(buyer, &[key])),
            }
        });
        attempts.collect()
    }

    /// Real tickets, tickets of another epoch, other events' numbers, and numbers that don't exist.
    fn tickets(&mut self, pair: &Pair) -> Vec<(TicketNo, ReleaseReason)> {
        let reserved: Vec<TicketNo> = pair
            .history
            .iter()
            .filter(|event| matches!(event.change, Change::Reserved(_)))
            .map(flashsale_core::event::Event::ticket)
            .collect();
        let count = self.rng.random_range(0..40);
        let tickets = (0..count).map(|_| {
            let any = TicketNo {
                made: Epoch(self.rng.random_range(0..3)),
                n: self.rng.random_range(0..pair.engine.len() + 3),
            };
            let known = self.rng.random_bool(0.8) && !reserved.is_empty();
            let mut ticket = if known {
                reserved[self.rng.random_range(0..reserved.len())]
            } else {
                any
            };
            if self.rng.random_bool(0.1) {
                ticket.made = ticket.made.next();
            }
            (ticket, REASONS[self.rng.random_range(0..REASONS.len())])
        });
        tickets.collect()
    }

    /// A transfer that comes for the first time, or once more.
    fn transfer(&mut self, item: ItemIx) -> (ShardId, Outgoing) {
        if !self.transfers.is_empty() && self.rng.random_bool(0.3) {
            return self.transfers[self.rng.random_range(0..self.transfers.len())].clone();
        }
        let mut units: Vec<UnitRange> = (0..self.rng.random_range(1..4))
            .map(|_| self.fresh(item.0, 1..40))
            .collect();
        if self.rng.random_bool(0.5) {
            units.reverse();
        }
        let number = self.transfers.len() as u64 * 3 + 2;
        let transfer = Outgoing {
            number,
            item,
            units: units.into_iter().collect(),
        };
        let from = ShardId(self.rng.random_range(1..4));
        self.transfers.push((from, transfer.clone()));
        (from, transfer)
    }
}
