//! Seeded randomness that is the same on every machine and in every version of every library.

use crate::config::Popularity;

/// SplitMix64: eight bytes of state, good enough to spread buyers, and stable for ever (which the generators of
/// the `rand` crate explicitly are not).
#[derive(Clone, Debug)]
pub(crate) struct Seeded(u64);

impl Seeded {
    /// The stream that belongs to `index` under `seed`.
    pub(crate) fn new(seed: u64, index: u64) -> Self {
        Self(mix(seed ^ mix(index.wrapping_add(0x9E37_79B9_7F4A_7C15))))
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mix(self.0)
    }

    /// A number in `0.0..1.0`.
    pub(crate) fn unit(&mut self) -> f64 {
        unit(self.next())
    }

    /// True in `share` of all cases.
    pub(crate) fn chance(&mut self, share: f64) -> bool {
        self.unit() < share
    }
}

/// A number in `0.0..1.0` from the upper 53 bits.
pub(crate) fn unit(bits: u64) -> f64 {
    (bits >> 11) as f64 / (1u64 << 53) as f64
}

/// The finaliser of SplitMix64: a bijection that leaves no pattern of its input.
pub(crate) fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

/// Draws one of `n` candidates by popularity.
pub(crate) struct Draw {
    /// Upper bound of each candidate in `0.0..=1.0`; empty for uniform.
    bounds: Vec<f64>,
    n: usize,
}

impl Draw {
    pub(crate) fn new(n: usize, popularity: Popularity) -> Self {
        let Popularity::Zipf(exponent) = popularity else {
            return Self {
                bounds: Vec::new(),
                n,
            };
        };
        let weights: Vec<f64> = (1..=n).map(|k| (k as f64).powf(-exponent)).collect();
        let total: f64 = weights.iter().sum();
        let mut sum = 0.0;
        let bounds = weights
            .iter()
            .map(|w| {
                sum += w / total;
                sum
            })
            .collect();
        Self { bounds, n }
    }

    pub(crate) fn pick(&self, random: &mut Seeded) -> usize {
        let x = random.unit();
        if self.bounds.is_empty() {
            return (x * self.n as f64) as usize;
        }
        self.bounds.partition_point(|bound| *bound <= x).min(self.n - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_and_index_give_the_same_stream() {
        let take = |seed, index| -> Vec<u64> {
            let mut s = Seeded::new(seed, index);
            (0..4).map(|_| s.next()).collect()
        };
        assert_eq!(take(7, 3), take(7, 3));
        assert_ne!(take(7, 3), take(7, 4));
        assert_ne!(take(7, 3), take(8, 3));
    }

    #[test]
    fn zipf_prefers_the_first_and_forgets_nobody() {
        let draw = Draw::new(5, Popularity::Zipf(1.0));
        let mut random = Seeded::new(1, 1);
        let mut counts = [0u32; 5];
        for _ in 0..10_000 {
            counts[draw.pick(&mut random)] += 1;
        }
        assert!(counts.windows(2).all(|w| w[0] > w[1]), "{counts:?}");
        let first = f64::from(counts[0]) / 10_000.0;
        assert!(
            (first - 0.438).abs() < 0.02,
            "1/(1+1/2+…+1/5) = 0.438, got {first}"
        );
    }

    #[test]
    fn uniform_hits_each_candidate_alike() {
        let draw = Draw::new(4, Popularity::Uniform);
        let mut random = Seeded::new(1, 2);
        let mut counts = [0i32; 4];
        for _ in 0..40_000 {
            counts[draw.pick(&mut random)] += 1;
        }
        assert!(counts.iter().all(|c| (c - 10_000).abs() < 500), "{counts:?}");
    }
}
