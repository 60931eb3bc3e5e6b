//! The buyers' own view of the sale, for those who simulate them.

/// Figures of a crowd at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct CrowdProgress {
    /// Buyers of the whole crowd.
    pub total: u64,
    /// Buyers whose time to come has passed.
    pub arrived: u64,
    /// Buyers with a ticket.
    pub won: u64,
    /// Buyers who left with nothing because it was sold out.
    pub sold_out: u64,
    /// Buyers who had a ticket already.
    pub duplicate: u64,
    /// Buyers refused by a limit.
    pub limited: u64,
    /// Buyers who failed for another reason.
    pub failed: u64,
    /// Requests sent again.
    pub retries: u64,
    /// Tickets last shown as queued or reserved.
    pub waiting: u64,
    /// Patient buyers watching for stock.
    pub patient: u64,
    /// Tickets paid.
    pub paid: u64,
    /// Tickets cancelled by their buyer.
    pub cancelled: u64,
    /// Broken promises seen so far.
    pub violations: u64,
    /// From the intended arrival to the first definite answer.
    pub latency_ms: Quantiles,
}

/// Quantiles in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Quantiles {
    /// Half of the buyers were answered within this.
    pub p50: f64,
    /// 99 % were.
    pub p99: f64,
    /// 99.9 % were.
    pub p999: f64,
}

impl CrowdProgress {
    /// Buyers who have their answer.
    pub fn done(&self) -> u64 {
        self.won + self.sold_out + self.duplicate + self.limited + self.failed
    }
}
