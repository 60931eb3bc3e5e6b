//! Points in time as the resources write them: RFC 3339 with a time zone.

use std::{fmt, str::FromStr, sync::LazyLock};

use chrono::{DateTime, SecondsFormat, Utc};
use regex::Regex;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

static SHAPE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,9})?)?)?(Z|[+-][0-9]{2}:[0-9]{2})?$")
        .expect("a constant pattern, compiled in a test")
});

/// A point in time, written in RFC 3339 with a zone (`2026-12-01T12:00:00Z`, `2026-12-01T13:00:00+01:00`).
///
/// # Guarantees
/// It lies between the years 1970 and 9999, so its milliseconds are never negative. It is shown in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(DateTime<Utc>);

/// Why a text is no [`Timestamp`]; its text says how to mend it and continues the sentence `"…" …`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidTime(String);

impl Timestamp {
    /// Milliseconds since 1970-01-01T00:00:00Z; parts below a millisecond are cut off.
    pub fn millis(self) -> u64 {
        u64::try_from(self.0.timestamp_millis()).unwrap_or(0)
    }

    /// Milliseconds from `earlier` to this time, negative when this is the earlier one.
    pub fn millis_since(self, earlier: Self) -> i64 {
        (self.0 - earlier.0).num_milliseconds()
    }
}

impl FromStr for Timestamp {
    type Err = InvalidTime;

    /// # Errors
    /// Says what is missing: the time of day, the seconds, the zone; or that there is no such day.
    fn from_str(text: &str) -> Result<Self, InvalidTime> {
        let invalid = |why: String| Err(InvalidTime(why));
        let Some(parts) = SHAPE.captures(text) else {
            return invalid("is no time; write it as \"2026-12-01T12:00:00Z\"".to_owned());
        };
        if parts.get(1).is_none() {
            return invalid(format!(
                "has no time of day; write it as \"{}T12:00:00Z\"",
                &text[..10]
            ));
        }
        if parts.get(2).is_none() {
            return invalid(format!("has no seconds; write it as \"{}:00Z\"", &text[..16]));
        }
        if parts.get(4).is_none() {
            return invalid(format!("has no time zone; add Z for UTC: \"{text}Z\""));
        }
        let Ok(time) = DateTime::parse_from_rfc3339(text) else {
            return invalid(
                "is no day or time that exists; check month, day, hour, minute and zone".to_owned(),
            );
        };
        if time.timestamp_subsec_nanos() >= 1_000_000_000 {
            return invalid("is a leap second; write second 59".to_owned());
        }
        if time.timestamp() < 0 {
            return invalid("is before 1970; check the year".to_owned());
        }
        Ok(Self(time.with_timezone(&Utc)))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.to_rfc3339_opts(SecondsFormat::AutoSi, true))
    }
}

impl fmt::Display for InvalidTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for InvalidTime {}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    /// Takes what an API server takes for a time, which is more than a file may hold: a comma before the
    /// fraction, letters in lower case. A stored object that couldn't be read would stop the watch of all.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let parsed = text.parse().or_else(|why| {
            let tidy = text.replace(',', ".").to_ascii_uppercase();
            match DateTime::parse_from_rfc3339(&tidy) {
                Ok(time) if time.timestamp() >= 0 => Ok(Self(time.with_timezone(&Utc))),
                _ => Err(why),
            }
        });
        parsed.map_err(|why: InvalidTime| D::Error::custom(format!("\"{text}\" {why}")))
    }
}

impl JsonSchema for Timestamp {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Timestamp".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "date-time" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_are_turned_into_utc_and_milliseconds_are_exact() {
        let local: Timestamp = "2026-12-01T13:00:00.25+01:00".parse().unwrap();
        let utc: Timestamp = "2026-12-01T12:00:00.250Z".parse().unwrap();
        assert_eq!(local, utc);
        assert_eq!(utc.millis(), 1_796_126_400_250);
        assert_eq!(utc.to_string(), "2026-12-01T12:00:00.250Z");
    }

    #[test]
    fn what_an_api_server_stores_is_read() {
        let utc: Timestamp = "2026-12-01T12:00:00.250Z".parse().unwrap();
        for text in [
            "2026-12-01T12:00:00,250Z",
            "2026-12-01t12:00:00.250z",
            "2026-12-01T12:00:00.250000000000Z",
        ] {
            assert_eq!(
                serde_json::from_value::<Timestamp>(text.into()).unwrap(),
                utc,
                "{text}"
            );
        }
        assert!(serde_json::from_str::<Timestamp>("\"tomorrow\"").is_err());
    }

    #[test]
    fn what_a_time_lacks_is_said() {
        let why = |text: &str| text.parse::<Timestamp>().unwrap_err().to_string();
        assert!(why("2026-12-01").starts_with("has no time of day"));
        assert!(why("2026-12-01T12:00Z").starts_with("has no seconds"));
        assert!(why("2026-12-01T12:00:00").starts_with("has no time zone"));
        assert!(why("2026-02-30T12:00:00Z").starts_with("is no day"));
        assert!(why("2026-12-01T12:00:00+99:00").starts_with("is no day"));
        assert!(why("2016-12-31T23:59:60Z").starts_with("is a leap second"));
        assert!(why("1969-12-31T23:59:59Z").starts_with("is before 1970"));
        for text in [
            "",
            "tomorrow",
            "2026-12-01 12:00:00Z",
            "2026-12-01t12:00:00z",
            "２０２６-12-01",
        ] {
            assert!(why(text).starts_with("is no time"), "{text}");
        }
    }
}
