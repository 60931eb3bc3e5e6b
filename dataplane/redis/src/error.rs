//! What can go wrong, by what it means for the caller.

/// Why a call has no result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// It never left: nothing was taken. Answer "busy", or try again on a new connection.
    #[error("not sent to {address}: {why}; connect again")]
    NotSent {
        /// Which Redis.
        address: String,
        /// Why not.
        why: String,
    },
    /// It was sent, and no answer came: it may have taken effect. Repeat it with the same request keys, or say so.
    #[error("{address} didn't answer: {why}; the outcome is unknown")]
    Unknown {
        /// Which Redis.
        address: String,
        /// What happened.
        why: String,
    },
    /// The gate is closed, or the shard is being loaded; nothing was taken. Get new credentials.
    #[error("the shard is closed; get new credentials")]
    Closed,
    /// The shard has another epoch; nothing was taken. Get new credentials.
    #[error("the shard has another epoch; get new credentials")]
    WrongEpoch,
    /// Another owner has this epoch, or no load gave this connection one: it is fenced off.
    #[error("the shard's epoch has another owner; claim the shard again")]
    WrongOwner,
    /// This Redis doesn't hold the shard.
    #[error("the shard isn't in this Redis; rebuild it from the log, don't seed it again")]
    Absent,
    /// The keys belong to another sale.
    #[error("the shard's keys belong to another sale; give this sale its own prefix or another Redis")]
    WrongSale,
    /// Redis or the library refused it; nothing was written.
    #[error("{address} refused: {reason}")]
    Refused {
        /// Which Redis.
        address: String,
        /// Why, and what to do.
        reason: String,
    },
}

impl CallError {
    /// Whether it is certain that the call changed nothing.
    #[must_use]
    pub fn nothing_written(&self) -> bool {
        !matches!(self, Self::Unknown { .. })
    }
}

/// Why a Redis can't be used. One line each: which, what, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// The address isn't one.
    #[error(
        "can't use the Redis address {address}: {why}; write redis://user:password@host:port or rediss://…"
    )]
    Address {
        /// As far as it can be shown: without a password.
        address: String,
        /// What is wrong with it.
        why: String,
    },
    /// Nobody answers there.
    #[error(
        "can't reach Redis at {address}: {why}; check that it runs and that the network lets this process through"
    )]
    Unreachable {
        /// Which Redis.
        address: String,
        /// What happened.
        why: String,
    },
    /// It doesn't let us in.
    #[error("Redis at {address} refuses the login: {why}; check the user and the password of the address")]
    Login {
        /// Which Redis.
        address: String,
        /// What it said.
        why: String,
    },
    /// It can't serve a sale as it is set up.
    #[error("Redis at {address} can't serve a sale: {problem}; {mend}")]
    Unfit {
        /// Which Redis.
        address: String,
        /// What is wrong.
        problem: String,
        /// What to do.
        mend: String,
    },
    /// A call while connecting failed.
    #[error(transparent)]
    Call(#[from] CallError),
}
