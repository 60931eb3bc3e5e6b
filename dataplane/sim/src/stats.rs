//! What happened in the runs, to show that the interesting things did.

/// Declares a fieldless enum whose values index arrays and have names.
macro_rules! named {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$doc])* #[doc = $text] $variant,)* }
        impl $name {
            /// All of them, in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];
            /// How many there are.
            pub const COUNT: usize = Self::ALL.len();
            /// The name in output.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }
    };
}
pub(crate) use named;

named! {
    /// A kind of fault; a scenario has some of them.
    Fault {
        Crash = "process crash",
        Takeover = "takeover from a living owner",
        Stall = "process stalled and resumed",
        LogDown = "log down",
        DbDown = "database down",
        Publish = "publish torn, doubled, late or lost",
        Answer = "answer lost",
        Request = "request lost or doubled",
        Network = "transfer or ack lost, doubled or late",
        Worker = "worker killed",
        Commit = "commit without an answer",
        Clock = "shard clock off or stepped",
        Route = "request to a stale owner",
        Poison = "database refuses an event",
    }
}

named! {
    /// Something that is counted.
    Stat {
        Requests = "requests delivered",
        Taken = "taken",
        Existing = "existing ticket answered",
        SoldOut = "sold out",
        Limit = "limit exceeded",
        Conflict = "key conflict",
        NotOpen = "not open yet",
        Closed = "closed",
        NotEntitled = "not entitled",
        Unavailable = "unavailable",
        Waited = "waited for units",
        Promised = "reservations promised",
        Lost = "tickets lost, and said so",
        Ordered = "orders made",
        Paid = "orders paid",
        Cancelled = "closed: cancelled",
        Unpaid = "closed: unpaid",
        Backlog = "closed: backlog",
        Refused = "closed: refused",
        Refunds = "refunds due",
        Releases = "releases applied",
        Transfers = "transfers promised",
        TransferIns = "transfers taken in",
        Registered = "registrations",
        Grants = "stock added while live",
        Claims = "claims",
        Opened = "shards opened",
        Fenced = "owners fenced",
        BypassIn = "bypass entered",
        BypassClaims = "claims within bypass",
        BypassCommits = "commits in bypass",
        BypassOut = "bypass left",
        Zombie = "answers of a stale owner",
        Rounds = "rounds to quiescence",
    }
}

/// Outcomes of a run that the coverage table sets against the faults.
pub const OUTCOMES: &[(&str, Stat)] = &[
    ("lost", Stat::Lost),
    ("soldout", Stat::SoldOut),
    ("paid", Stat::Paid),
    ("released", Stat::Releases),
    ("refund", Stat::Refunds),
    ("transfer", Stat::TransferIns),
    ("fenced", Stat::Fenced),
    ("zombie", Stat::Zombie),
    ("bypass", Stat::BypassIn),
    ("byp.claim", Stat::BypassClaims),
    ("byp.left", Stat::BypassOut),
];

/// Counts of one run or of many.
#[derive(Debug, Clone)]
pub struct Stats {
    /// How many runs.
    pub runs: u64,
    /// How many steps.
    pub steps: u64,
    /// Per [`Stat`].
    pub counts: [u64; Stat::COUNT],
    /// Per [`Fault`].
    pub faults: [u64; Fault::COUNT],
    /// Runs that had the fault and the outcome.
    pub coverage: [[u64; OUTCOMES.len()]; Fault::COUNT],
}

impl Default for Stats {
    fn default() -> Self {
        Self {
            runs: 0,
            steps: 0,
            counts: [0; Stat::COUNT],
            faults: [0; Fault::COUNT],
            coverage: [[0; OUTCOMES.len()]; Fault::COUNT],
        }
    }
}

impl Stats {
    pub(crate) fn count(&mut self, stat: Stat) {
        self.counts[stat as usize] += 1;
    }

    pub(crate) fn fault(&mut self, fault: Fault) {
        self.faults[fault as usize] += 1;
    }

    /// How often `stat` was counted.
    #[must_use]
    pub fn of(&self, stat: Stat) -> u64 {
        self.counts[stat as usize]
    }

    /// Adds one run's counts.
    pub fn add_run(&mut self, run: &Self) {
        self.runs += 1;
        self.steps += run.steps;
        add(&mut self.counts, &run.counts);
        add(&mut self.faults, &run.faults);
        for (fault, row) in self.coverage.iter_mut().enumerate() {
            for (cell, (_, stat)) in row.iter_mut().zip(OUTCOMES) {
                *cell += u64::from(run.faults[fault] > 0 && run.of(*stat) > 0);
            }
        }
    }

    /// Adds the counts of many runs.
    pub fn add_all(&mut self, other: &Self) {
        self.runs += other.runs;
        self.steps += other.steps;
        add(&mut self.counts, &other.counts);
        add(&mut self.faults, &other.faults);
        for (row, more) in self.coverage.iter_mut().zip(&other.coverage) {
            add(row, more);
        }
    }
}

fn add(to: &mut [u64], from: &[u64]) {
    to.iter_mut().zip(from).for_each(|(a, b)| *a += b);
}
