//! Where a sale stands, and how much of its spec is fixed by that.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// Where a sale stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Phase {
    /// It waits for its time, or for something that it needs.
    Pending,
    /// What it needs is being made.
    Provisioning,
    /// Its stock is being loaded and its pages are being warmed.
    Warming,
    /// Buyers can register.
    Registering,
    /// All is ready; buyers wait.
    Armed,
    /// Buyers can buy.
    Open,
    /// It has closed; what was taken is being worked off.
    Draining,
    /// The books are being compared.
    Settling,
    /// The books agree.
    Settled,
    /// It can't go on; a condition says why.
    Failed,
}

/// How a sale ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Outcome {
    /// It ran to its end.
    Completed,
    /// It was called off.
    Cancelled,
    /// It couldn't be held.
    Failed,
}

/// How much of a sale's spec is fixed: 0 before anything is made, 1 once provisioned, 2 once stock is being loaded,
/// 3 once armed, 4 once open, 5 once closed. It only grows, and the rules on changes of the spec go by it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "i32", try_from = "i32")]
pub enum LockLevel {
    /// 0: nothing is made yet.
    #[default]
    Pending,
    /// 1: host and class are taken.
    Provisioned,
    /// 2: stock is being loaded.
    Loading,
    /// 3: the blocking gates are green.
    Armed,
    /// 4: buyers can buy.
    Open,
    /// 5: nothing is sold any more.
    Closed,
}

impl LockLevel {
    /// All levels, from 0 up.
    pub const ALL: [Self; 6] = [
        Self::Pending,
        Self::Provisioned,
        Self::Loading,
        Self::Armed,
        Self::Open,
        Self::Closed,
    ];
}

impl From<LockLevel> for i32 {
    fn from(level: LockLevel) -> Self {
        match level {
            LockLevel::Pending => 0,
            LockLevel::Provisioned => 1,
            LockLevel::Loading => 2,
            LockLevel::Armed => 3,
            LockLevel::Open => 4,
            LockLevel::Closed => 5,
        }
    }
}

impl TryFrom<i32> for LockLevel {
    type Error = String;

    fn try_from(number: i32) -> Result<Self, String> {
        usize::try_from(number)
            .ok()
            .and_then(|index| Self::ALL.get(index).copied())
            .ok_or_else(|| format!("lockLevel {number} is none of 0 to 5"))
    }
}

impl JsonSchema for LockLevel {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "LockLevel".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "format": "int32", "minimum": 0, "maximum": 5 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_a_number_in_json_and_its_order_is_that_of_the_numbers() {
        for (number, level) in (0..).zip(LockLevel::ALL) {
            assert_eq!(serde_json::to_value(level).unwrap(), number);
            assert_eq!(serde_json::from_value::<LockLevel>(number.into()).unwrap(), level);
        }
        assert!(LockLevel::ALL.is_sorted());
        assert!(
            serde_json::from_str::<LockLevel>("6").is_err()
                && serde_json::from_str::<LockLevel>("-1").is_err()
        );
    }
}
