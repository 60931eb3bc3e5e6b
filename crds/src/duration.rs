//! Durations as the resources write them: `30m`, `1h30m`, `90s`, `250ms`.

use std::{fmt, str::FromStr, time::Duration};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::patterns::DURATION;

/// Each unit's name and length in milliseconds, from the longest.
const UNITS: [(&str, u64); 4] = [("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];
/// The most parts that one duration is written in.
const PARTS_MAX: usize = 4;
/// The most digits that one part has.
const DIGITS_MAX: usize = 5;

/// A duration in whole milliseconds, written as up to four parts such as `1h30m`.
///
/// # Guarantees
/// It is below 10,000 hours; what it prints parses to the same duration and fits the schema (16 characters).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HumanDuration {
    millis: u64,
}

/// A text that is no [`HumanDuration`]; its text continues the sentence `"…" …`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvalidDuration {
    /// It isn't made of whole numbers, each with its unit.
    Malformed,
    /// It is 10,000 hours or more.
    TooLong,
}

impl HumanDuration {
    /// The longest one, in milliseconds: one less than 10,000 hours.
    pub const MILLIS_MAX: u64 = 10_000 * 3_600_000 - 1;

    /// That many milliseconds, or `None` above [`HumanDuration::MILLIS_MAX`].
    pub const fn from_millis(millis: u64) -> Option<Self> {
        if millis <= Self::MILLIS_MAX {
            Some(Self { millis })
        } else {
            None
        }
    }

    /// That many seconds; a constant's way to a duration, so a `u32` and cut at the longest one.
    pub const fn from_secs(secs: u32) -> Self {
        let millis = secs as u64 * 1_000;
        Self {
            millis: if millis <= Self::MILLIS_MAX {
                millis
            } else {
                Self::MILLIS_MAX
            },
        }
    }

    /// Its length in milliseconds.
    pub const fn millis(self) -> u64 {
        self.millis
    }
}

impl From<HumanDuration> for Duration {
    fn from(duration: HumanDuration) -> Self {
        Self::from_millis(duration.millis)
    }
}

impl FromStr for HumanDuration {
    type Err = InvalidDuration;

    /// Parts add up in any order (`30m1h` is `1h30m`), as in Go and CEL; there are no fractions and no signs.
    fn from_str(text: &str) -> Result<Self, InvalidDuration> {
        let mut rest = text;
        let mut millis = 0;
        for _ in 0..PARTS_MAX {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            if digits == 0 || digits > DIGITS_MAX {
                return Err(InvalidDuration::Malformed);
            }
            let (number, tail) = rest.split_at(digits);
            let letters = tail.bytes().take_while(u8::is_ascii_alphabetic).count();
            let (unit, tail) = tail.split_at(letters);
            let unit = UNITS
                .iter()
                .find(|(name, _)| *name == unit)
                .ok_or(InvalidDuration::Malformed)?;
            // Five digits of hours, four times, stay far below the range of a u64.
            millis += number.parse::<u64>().map_err(|_| InvalidDuration::Malformed)? * unit.1;
            rest = tail;
            if rest.is_empty() {
                return Self::from_millis(millis).ok_or(InvalidDuration::TooLong);
            }
        }
        Err(InvalidDuration::Malformed)
    }
}

impl fmt::Display for HumanDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.millis == 0 {
            return f.write_str("0s");
        }
        let mut rest = self.millis;
        for (unit, length) in UNITS {
            if rest >= length {
                write!(f, "{}{unit}", rest / length)?;
                rest %= length;
            }
        }
        Ok(())
    }
}

impl fmt::Display for InvalidDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => {
                "is no duration; write whole numbers with h, m, s or ms, such as \"1h30m\" or \"90s\""
            }
            Self::TooLong => "is 10000 hours or more; write a shorter duration",
        })
    }
}

impl std::error::Error for InvalidDuration {}

impl Serialize for HumanDuration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for HumanDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse()
            .map_err(|why| D::Error::custom(format!("\"{text}\" {why}")))
    }
}

impl JsonSchema for HumanDuration {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "maxLength": 16, "pattern": DURATION })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_a_duration_prints_parses_to_itself_and_fits_the_schema(millis in 0..=HumanDuration::MILLIS_MAX) {
            let duration = HumanDuration::from_millis(millis).unwrap();
            let text = duration.to_string();
            prop_assert!(text.len() <= 16 && regex::Regex::new(DURATION).unwrap().is_match(&text), "{text}");
            prop_assert_eq!(text.parse(), Ok(duration));
        }

        #[test]
        fn a_text_parses_exactly_when_the_schema_takes_it(text in "[0-9]{0,6}(h|m|s|ms|d|)([0-9]{0,2}(h|m|s|ms)){0,4}") {
            let schema = regex::Regex::new(DURATION).unwrap().is_match(&text);
            let parsed = text.parse::<HumanDuration>();
            prop_assert_eq!(schema, !matches!(parsed, Err(InvalidDuration::Malformed)));
        }

        #[test]
        fn parts_add_up_in_any_order(hours in 0_u64..999, minutes in 0_u64..99_999, millis in 0_u64..99_999) {
            let sum = hours * 3_600_000 + minutes * 60_000 + millis;
            let text = format!("{millis}ms{minutes}m{hours}h");
            prop_assert_eq!(text.parse::<HumanDuration>().map(HumanDuration::millis), Ok(sum));
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in "\\PC{0,20}") {
            let _ = text.parse::<HumanDuration>();
        }
    }

    #[test]
    fn the_longest_duration_still_prints_within_the_schema() {
        let longest = HumanDuration::from_millis(HumanDuration::MILLIS_MAX).unwrap();
        assert_eq!(longest.to_string(), "9999h59m59s999ms");
        assert_eq!("10000h".parse::<HumanDuration>(), Err(InvalidDuration::TooLong));
    }
}
