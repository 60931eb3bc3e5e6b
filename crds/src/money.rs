//! Money: whole minor units of one ISO 4217 currency, exact in every step.

use std::{fmt, str::FromStr};

/// An ISO 4217 currency in which prices can be written.
///
/// # Guarantees
/// It is in force (not replaced by another one) and has a known number of decimals, at most 4.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Currency {
    iso: iso_currency::Currency,
    decimals: u8,
}

/// Why a text is no amount or no currency; its text continues the sentence `"…" …`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InvalidMoney {
    /// The code isn't in ISO 4217.
    UnknownCurrency,
    /// The currency was replaced by the one with this code.
    ReplacedCurrency(&'static str),
    /// The code stands for a metal, a test or a unit of account without decimals of its own.
    NoPrices,
    /// The text isn't digits with at most one decimal point between them.
    Malformed,
    /// There are more decimals than the currency has.
    Decimals {
        /// How many the text has.
        given: usize,
        /// The currency.
        currency: Currency,
    },
    /// The amount doesn't fit 63 bits of minor units.
    TooLarge,
}

impl Currency {
    /// The code of three letters.
    pub fn code(self) -> &'static str {
        self.iso.code()
    }

    /// How many decimals its prices have: 2 for EUR, 0 for JPY, 3 for KWD.
    pub fn decimals(self) -> u8 {
        self.decimals
    }

    /// Minor units in one major unit: 100 for EUR, 1 for JPY.
    fn scale(self) -> i64 {
        10_i64.pow(u32::from(self.decimals))
    }
}

impl FromStr for Currency {
    type Err = InvalidMoney;

    fn from_str(code: &str) -> Result<Self, InvalidMoney> {
        let iso = iso_currency::Currency::from_code(code).ok_or(InvalidMoney::UnknownCurrency)?;
        if let Some(successor) = iso.is_superseded() {
            return Err(InvalidMoney::ReplacedCurrency(successor.code()));
        }
        match iso.exponent() {
            Some(decimals @ 0..=4) if !iso.is_special() => Ok(Self {
                iso,
                decimals: decimals as u8,
            }),
            _ => Err(InvalidMoney::NoPrices),
        }
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// An amount of money: whole minor units (cents) of one currency.
///
/// # Guarantees
/// No operation rounds. `Display` writes the plain amount with all decimals of the currency (`699.00`),
/// without its code, and [`Money::parse`] reads that back to the same amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Money {
    minor: i64,
    currency: Currency,
}

impl Money {
    /// So many minor units (cents).
    pub fn from_minor(minor: i64, currency: Currency) -> Self {
        Self { minor, currency }
    }

    /// Reads `699`, `699.5` or `699.00`: no sign, no exponent, no separators, no leading zeros.
    ///
    /// # Errors
    /// The text isn't such a number, has more decimals than the currency, or is above 63 bits of minor units.
    pub fn parse(text: &str, currency: Currency) -> Result<Self, InvalidMoney> {
        let (major, decimals) = match text.split_once('.') {
            Some((_, "")) => return Err(InvalidMoney::Malformed),
            Some(parts) => parts,
            None => (text, ""),
        };
        let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if major.is_empty()
            || !digits(major)
            || !digits(decimals)
            || (major.len() > 1 && major.starts_with('0'))
        {
            return Err(InvalidMoney::Malformed);
        }
        if decimals.len() > usize::from(currency.decimals) {
            return Err(InvalidMoney::Decimals {
                given: decimals.len(),
                currency,
            });
        }
        let padded = format!(
            "{major}{decimals:0<width$}",
            width = usize::from(currency.decimals)
        );
        let minor = padded.parse().map_err(|_| InvalidMoney::TooLarge)?;
        Ok(Self { minor, currency })
    }

    /// The amount in minor units (cents).
    pub fn minor(self) -> i64 {
        self.minor
    }

    /// The currency.
    pub fn currency(self) -> Currency {
        self.currency
    }

    /// The sum, or `None` when the currencies differ or it doesn't fit.
    pub fn checked_add(self, other: Self) -> Option<Self> {
        let minor = self.same(other)?.minor.checked_add(other.minor)?;
        Some(Self { minor, ..self })
    }

    /// The difference, or `None` when the currencies differ or it doesn't fit.
    pub fn checked_sub(self, other: Self) -> Option<Self> {
        let minor = self.same(other)?.minor.checked_sub(other.minor)?;
        Some(Self { minor, ..self })
    }

    /// So many times the amount, or `None` when it doesn't fit.
    pub fn checked_mul(self, times: u32) -> Option<Self> {
        let minor = self.minor.checked_mul(i64::from(times))?;
        Some(Self { minor, ..self })
    }

    fn same(self, other: Self) -> Option<Self> {
        (self.currency == other.currency).then_some(self)
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scale = self.currency.scale().unsigned_abs();
        let minor = self.minor.unsigned_abs();
        let sign = if self.minor < 0 { "-" } else { "" };
        write!(f, "{sign}{}", minor / scale)?;
        match usize::from(self.currency.decimals) {
            0 => Ok(()),
            decimals => write!(f, ".{:0decimals$}", minor % scale),
        }
    }
}

impl fmt::Display for InvalidMoney {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownCurrency => {
                f.write_str("is no ISO 4217 currency; write a code such as EUR, USD or JPY")
            }
            Self::ReplacedCurrency(successor) => write!(f, "is no longer in use; write {successor}"),
            Self::NoPrices => f.write_str("is no currency for prices; write a code such as EUR, USD or JPY"),
            Self::Malformed => {
                f.write_str("is no amount; write digits with a decimal point, such as \"699.00\"")
            }
            Self::Decimals { given, currency } => {
                let code = currency.code();
                match currency.decimals {
                    0 => write!(
                        f,
                        "has {given} decimals but {code} has none; write it without a decimal point"
                    ),
                    most => write!(
                        f,
                        "has {given} decimals but {code} has {most}; write at most {most}"
                    ),
                }
            }
            Self::TooLarge => f.write_str("is too large an amount"),
        }
    }
}

impl std::error::Error for InvalidMoney {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn currency(code: &str) -> Currency {
        code.parse().unwrap()
    }

    fn any_currency() -> impl Strategy<Value = Currency> {
        prop::sample::select(vec!["EUR", "JPY", "KWD", "CLF"]).prop_map(currency)
    }

    proptest! {
        #[test]
        fn what_money_prints_parses_to_itself(minor in 0..=i64::MAX, currency in any_currency()) {
            let money = Money::from_minor(minor, currency);
            prop_assert_eq!(Money::parse(&money.to_string(), currency), Ok(money));
        }

        #[test]
        fn arithmetic_is_that_of_the_minor_units_or_refused(a: i64, b: i64, times: u32, currency in any_currency()) {
            let (left, right) = (Money::from_minor(a, currency), Money::from_minor(b, currency));
            prop_assert_eq!(left.checked_add(right).map(Money::minor), a.checked_add(b));
            prop_assert_eq!(left.checked_sub(right).map(Money::minor), a.checked_sub(b));
            prop_assert_eq!(left.checked_mul(times).map(Money::minor), a.checked_mul(i64::from(times)));
        }

        #[test]
        fn no_text_makes_the_parser_panic_or_lose_a_digit(text in "[0-9.+-]{0,24}|\\PC{0,12}", currency in any_currency()) {
            if let Ok(money) = Money::parse(&text, currency) {
                let printed = money.to_string();
                prop_assert!(printed.starts_with(&text), "{text} became {printed}");
                prop_assert!(printed[text.len()..].bytes().all(|byte| byte == b'0' || byte == b'.'));
            }
        }
    }

    #[test]
    fn decimals_follow_iso_4217() {
        let decimals = |code| currency(code).decimals();
        assert_eq!(
            (decimals("EUR"), decimals("JPY"), decimals("KWD"), decimals("ISK")),
            (2, 0, 3, 0)
        );
    }

    #[test]
    fn amounts_of_two_currencies_do_not_add_up() {
        let euro = Money::from_minor(1, currency("EUR"));
        assert_eq!(euro.checked_add(Money::from_minor(1, currency("USD"))), None);
    }

    #[test]
    fn a_negative_amount_prints_its_sign_once() {
        assert_eq!(Money::from_minor(-5, currency("EUR")).to_string(), "-0.05");
        assert_eq!(
            Money::from_minor(i64::MIN, currency("JPY")).to_string(),
            "-9223372036854775808"
        );
    }

    #[test]
    fn codes_that_cannot_price_anything_are_refused() {
        assert_eq!(
            "HRK".parse::<Currency>(),
            Err(InvalidMoney::ReplacedCurrency("EUR"))
        );
        assert_eq!("XAU".parse::<Currency>(), Err(InvalidMoney::NoPrices));
        assert_eq!("EURO".parse::<Currency>(), Err(InvalidMoney::UnknownCurrency));
    }
}
