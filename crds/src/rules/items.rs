//! What is sold, and for how much. Places are within `spec`.

use super::Rule;
use crate::money::Currency;

/// All currencies in use with a number of decimals that `wanted` takes, as a list in CEL.
fn currencies(wanted: impl Fn(u8) -> bool) -> String {
    let letters = || b'A'..=b'Z';
    let mut codes = Vec::new();
    for (first, second) in letters().flat_map(|first| letters().map(move |second| (first, second))) {
        for third in letters() {
            let code: String = [first, second, third]
                .iter()
                .map(|letter| char::from(*letter))
                .collect();
            if code
                .parse::<Currency>()
                .is_ok_and(|currency| wanted(currency.decimals()))
            {
                codes.push(format!("'{code}'"));
            }
        }
    }
    format!("[{}]", codes.join(","))
}

/// The sentence can't name the item: joining ids exceeds what an API server allows a message to cost.
fn decimals(name: &'static str, whose: &str, condition: &str, sentence: &str) -> Rule {
    Rule::new(
        name,
        format!("!has(self.items) || {whose} || self.items.all(i, {condition})"),
        format!("price of an item has {sentence}"),
    )
    .field(".items")
}

pub(super) fn rules() -> Vec<Rule> {
    [prices(), sources()].concat()
}

/// Currency and prices, which must fit each other.
fn prices() -> Vec<Rule> {
    let others = currencies(|decimals| decimals != 2);
    let (none, three) = (
        currencies(|decimals| decimals == 0),
        currencies(|decimals| decimals == 3),
    );
    vec![
        Rule::new(
            "currency-in-use",
            format!("self in {}", currencies(|_| true)),
            "currency is none in which prices are written; give the ISO 4217 code of one in use, such as EUR",
        )
        .shows("'currency \"' + self + '\" is none in which prices are written; give the ISO 4217 code of one in use, such as EUR'")
        .at("currency"),
        decimals(
            "no-decimals",
            &format!("!(self.currency in {none})"),
            "!i.price.contains('.')",
            "decimals, which the currency hasn't; write it without a decimal point",
        ),
        decimals(
            "two-decimals",
            &format!("self.currency in {others}"),
            "!i.price.matches('[.][0-9]{3,4}$')",
            "more decimals than the currency (2); write it with at most 2",
        ),
        decimals(
            "three-decimals",
            &format!("!(self.currency in {three})"),
            "!i.price.matches('[.][0-9]{4}$')",
            "more decimals than the currency (3); write it with at most 3",
        ),
    ]
}

/// Each item by itself, and where items come from.
fn sources() -> Vec<Rule> {
    vec![
        Rule::new(
            "price-above-zero",
            "self.price != '0'",
            "price is not above 0; raise it, or write \"0.00\" if the item is free",
        )
        .shows(
            "'price of item ' + self.id + ' is not above 0; raise it, or write \"0.00\" if the item is free'",
        )
        .field(".price")
        .at("items[]"),
        Rule::new(
            "limit-within-stock",
            "!has(self.limitPerBuyer) || self.limitPerBuyer <= self.stock",
            "limitPerBuyer is above the item's stock; lower it",
        )
        .shows("'limitPerBuyer of item ' + self.id + ' is above its stock; lower it'")
        .field(".limitPerBuyer")
        .at("items[]"),
        Rule::new(
            "items-given",
            "has(self.items) || has(self.itemsFrom)",
            "items is missing; add items with at least one item, or itemsFrom",
        )
        .field(".items")
        .required(),
        Rule::new(
            "items-once",
            "!has(self.items) || !has(self.itemsFrom)",
            "itemsFrom stands beside items; keep one of the two",
        )
        .field(".itemsFrom")
        .forbidden(),
        Rule::new(
            "items-from-somewhere",
            "has(self.configMap) || has(self.http)",
            "itemsFrom names no source; add configMap or http",
        )
        .required()
        .at("itemsFrom"),
        Rule::new(
            "items-from-one-place",
            "!has(self.configMap) || !has(self.http)",
            "itemsFrom.http stands beside itemsFrom.configMap; keep one of the two",
        )
        .field(".http")
        .forbidden()
        .at("itemsFrom"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lists_of_currencies_are_those_of_iso_4217() {
        assert!(currencies(|_| true).contains("'EUR'") && !currencies(|_| true).contains("'HRK'"));
        assert!(currencies(|decimals| decimals == 0).contains("'JPY'"));
        assert!(currencies(|decimals| decimals == 3).contains("'KWD'"));
        assert_eq!(currencies(|decimals| decimals == 1), "[]");
    }
}
