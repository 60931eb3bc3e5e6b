//! One order as the database has it.

use crate::codec;
use crate::db::{Column, DbRow};
use crate::error::{Error, Place, Result};
use flashsale_core::event::TicketNo;
use flashsale_core::ids::{ItemIx, Millis, RequestKey, ShardId};
use flashsale_core::order::State;
use flashsale_core::units::Units;

/// One order, with everything the database knows of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderRow {
    /// Its shard.
    pub shard: ShardId,
    /// Its reservation.
    pub ticket: TicketNo,
    /// Who, as the shop knows them.
    pub buyer: Box<str>,
    /// What.
    pub item: ItemIx,
    /// How many units.
    pub quantity: u32,
    /// Which units.
    pub units: Units,
    /// The request's idempotency key, if it had one.
    pub key: Option<RequestKey>,
    /// The place in the item's queue, from 1.
    pub place: u32,
    /// What it costs, in minor units.
    pub amount: u64,
    /// Where it stands.
    pub state: State,
    /// When it was reserved, by the shard's clock.
    pub reserved_at: Millis,
    /// When the order was made.
    pub ordered_at: Option<Millis>,
    /// Until when it can be paid.
    pub expires_at: Option<Millis>,
    /// When it was paid.
    pub paid_at: Option<Millis>,
    /// When it was closed.
    pub closed_at: Option<Millis>,
    /// Under which id the shop knows it; from when it is made.
    pub order_id: Option<Box<str>>,
}

/// A reservation that waits for its order, as the lanes need it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Waiting {
    /// Its shard.
    pub shard: ShardId,
    /// Its reservation.
    pub ticket: TicketNo,
    /// What.
    pub item: ItemIx,
    /// How many units.
    pub quantity: u32,
    /// The place in the item's queue, from 1.
    pub place: u32,
    /// When it was reserved, by the shard's clock.
    pub at: Millis,
}

impl OrderRow {
    /// The reservation as the lanes need it.
    #[must_use]
    pub fn waiting(&self) -> Waiting {
        Waiting {
            shard: self.shard,
            ticket: self.ticket,
            item: self.item,
            quantity: self.quantity,
            place: self.place,
            at: self.reserved_at,
        }
    }
}

/// Reads the columns of a row, each of a type that another program could have spoilt.
pub(crate) struct Columns<'a>(pub(crate) &'a DbRow, pub(crate) &'a Place);

impl Columns<'_> {
    pub(crate) fn get<'r, T>(&'r self, name: &str) -> Result<T>
    where
        T: Column<'r>,
    {
        self.0.get(name).map_err(|e| Error::of(self.1, &e))
    }

    pub(crate) fn number<N: TryFrom<i64>>(&self, name: &str) -> Result<N> {
        let n: i64 = self.get(name)?;
        N::try_from(n).map_err(|_| self.1.corrupt(&format!("{n} as {name}")))
    }

    pub(crate) fn time(&self, name: &str) -> Result<Option<Millis>> {
        Ok(self.get::<Option<i64>>(name)?.map(|t| t as Millis))
    }

    pub(crate) fn ticket(&self) -> Result<(ShardId, TicketNo)> {
        let (shard, made, n) = (self.get("shard")?, self.get("made")?, self.get("n")?);
        codec::ticket(shard, made, n).ok_or_else(|| {
            self.1
                .corrupt(&format!("an impossible ticket {shard}-{made}-{n}"))
        })
    }

    pub(crate) fn units(&self) -> Result<Units> {
        let text: &str = self.get("units")?;
        codec::units_of(text).ok_or_else(|| self.1.corrupt(&format!("{text:?} as units")))
    }

    pub(crate) fn state(&self) -> Result<State> {
        let (state, reason): (&str, Option<&str>) = (self.get("state")?, self.get("reason")?);
        codec::state_of(state, reason).ok_or_else(|| {
            self.1
                .corrupt(&format!("an order in state {state:?} with reason {reason:?}"))
        })
    }

    pub(crate) fn order(&self) -> Result<OrderRow> {
        let (shard, ticket) = self.ticket()?;
        let key: Option<&[u8]> = self.get("request_key")?;
        let key = key
            .map(|bytes| bytes.try_into().map(|b| RequestKey(u128::from_be_bytes(b))))
            .transpose()
            .map_err(|_| self.1.corrupt("a request key of another length"))?;
        Ok(OrderRow {
            shard,
            ticket,
            buyer: self.get::<&str>("buyer")?.into(),
            item: ItemIx(self.number("item")?),
            quantity: self.number("quantity")?,
            units: self.units()?,
            key,
            place: self.number("place")?,
            amount: self.number("amount")?,
            state: self.state()?,
            reserved_at: self.number("reserved_at")?,
            ordered_at: self.time("ordered_at")?,
            expires_at: self.time("expires_at")?,
            paid_at: self.time("paid_at")?,
            closed_at: self.time("closed_at")?,
            order_id: self.get::<Option<&str>>("order_id")?.map(Into::into),
        })
    }
}
