//! How values are written into columns.

use flashsale_core::event::{ReleaseReason, TicketNo};
use flashsale_core::ids::{Epoch, ShardId};
use flashsale_core::order::State;
use flashsale_core::units::{UnitRange, Units};
use std::fmt::Write as _;

/// A number for a column. Every number of the protocol that gets here stays far below 2^63.
pub(crate) fn int(n: impl Into<u64>) -> i64 {
    n.into() as i64
}

/// The text for units: `17` or `17-19,40`, ends included.
pub(crate) fn units_text(units: &[UnitRange]) -> String {
    let mut text = String::with_capacity(8);
    for range in units {
        if !text.is_empty() {
            text.push(',');
        }
        // Writing to a String can't fail.
        let _ = match range.len {
            1 => write!(text, "{}", range.first),
            len => write!(
                text,
                "{}-{}",
                range.first,
                u64::from(range.first) + u64::from(len) - 1
            ),
        };
    }
    text
}

/// The units in a column's text.
pub(crate) fn units_of(text: &str) -> Option<Units> {
    text.split(',')
        .map(|part| {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last): (u32, u32) = (first.parse().ok()?, last.parse().ok()?);
            let len = last.checked_sub(first)?.checked_add(1)?;
            Some(UnitRange { first, len })
        })
        .collect()
}

/// The word for a state, and its reason's.
pub(crate) fn state_words(state: State) -> (&'static str, Option<&'static str>) {
    match state {
        State::Reserved => ("reserved", None),
        State::Pending => ("pending", None),
        State::Paid => ("paid", None),
        State::Closed(reason) => ("closed", Some(reason.word())),
    }
}

/// The state in a row.
pub(crate) fn state_of(state: &str, reason: Option<&str>) -> Option<State> {
    match (state, reason) {
        ("reserved", None) => Some(State::Reserved),
        ("pending", None) => Some(State::Pending),
        ("paid", None) => Some(State::Paid),
        ("closed", Some(reason)) => ReleaseReason::from_word(reason).map(State::Closed),
        _ => None,
    }
}

/// A ticket from its columns.
pub(crate) fn ticket(shard: i64, made: i64, n: i64) -> Option<(ShardId, TicketNo)> {
    Some((
        ShardId(shard.try_into().ok()?),
        TicketNo {
            made: Epoch(made.try_into().ok()?),
            n: n.try_into().ok()?,
        },
    ))
}

/// `amount` minor units as a decimal string with `decimals` digits behind the point.
pub(crate) fn money(amount: u64, decimals: u8) -> String {
    let unit = 10u64.pow(u32::from(decimals.min(9)));
    if unit == 1 {
        return amount.to_string();
    }
    format!(
        "{}.{:0width$}",
        amount / unit,
        amount % unit,
        width = usize::from(decimals.min(9))
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn units_come_back_from_their_text(ranges in prop::collection::vec((0u32..1_000_000, 1u32..5000), 1..6)) {
            let units: Units = ranges.iter().map(|&(first, len)| UnitRange { first, len }).collect();
            prop_assert_eq!(units_of(&units_text(&units)), Some(units));
        }
    }

    #[test]
    fn money_is_written_with_the_currencys_digits() {
        assert_eq!(
            [money(69_900, 2), money(5, 2), money(1200, 0), money(1, 3)],
            ["699.00", "0.05", "1200", "0.001"]
        );
    }
}
