//! What a seed decides about a round.

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use std::time::Duration;

/// Before the opening there is time for a start, and for a kill and a second one.
pub(crate) const OPENS_AFTER: Duration = Duration::from_millis(900);

/// After what to kill, and how long after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    /// So long after the process was started: it may not serve yet.
    Start(Duration),
    /// So long after it serves.
    Ready(Duration),
    /// So long after the opening; at once if that has passed.
    Opening(Duration),
    /// So long after the closing.
    Closing(Duration),
}

/// A round.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) shards: u16,
    pub(crate) gateways: u8,
    /// The stock of each item.
    pub(crate) stock: Vec<u32>,
    pub(crate) buyers: u32,
    /// From the opening to the closing.
    pub(crate) window: Duration,
    pub(crate) payment_timeout: Duration,
    pub(crate) spread: Duration,
    /// The kills, in order of time.
    pub(crate) kills: Vec<Moment>,
}

impl Plan {
    pub(crate) fn of(seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let ms = |random: &mut StdRng, range| Duration::from_millis(random.random_range::<u64, _>(range));
        let items = random.random_range(1..=3);
        let stock = (0..items)
            .map(|_| random.random_range(400..=600) / items)
            .collect();
        let window = ms(&mut random, 1_000..1_600);
        let mut kills = Vec::new();
        for _ in 0..random.random_range(1..=3) {
            kills.push(match random.random_range(0..10) {
                0 => Moment::Start(ms(&mut random, 0..150)),
                1 => Moment::Ready(ms(&mut random, 0..300)),
                2..=3 => Moment::Opening(ms(&mut random, 0..300)),
                4..=6 => Moment::Opening(ms(&mut random, 300..window.as_millis() as u64)),
                _ => Moment::Closing(ms(&mut random, 0..500)),
            });
        }
        kills.sort_by_key(|kill| match kill {
            Moment::Start(after) => (0, *after),
            Moment::Ready(after) => (1, *after),
            Moment::Opening(after) => (2, *after),
            Moment::Closing(after) => (3, *after),
        });
        // A process that only just came back is killed too, whatever the time.
        if random.random_bool(0.5) {
            let at = random.random_range(0..=kills.len());
            kills.insert(at, Moment::Start(ms(&mut random, 0..150)));
            kills.truncate(3);
        }
        Self {
            seed,
            shards: [1, 2, 3, 5, 8][random.random_range(0..5)],
            gateways: random.random_range(1..=2),
            stock,
            buyers: 1_500,
            window,
            payment_timeout: ms(&mut random, 250..900),
            spread: ms(&mut random, 200..900),
            kills,
        }
    }
}
