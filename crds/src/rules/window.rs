//! When a sale opens and closes, and registration before it. Places are within `spec`.

use super::Rule;

pub(super) fn rules() -> Vec<Rule> {
    let sale = [
        Rule::new(
            "open-year",
            "self.openTime.getFullYear() >= 2000",
            "openTime lies before the year 2000; check the year",
        )
        .field(".openTime"),
        Rule::new(
            "close-after-open",
            "self.closeTime > self.openTime",
            "closeTime is not after openTime; move closeTime later",
        )
        .field(".closeTime"),
        Rule::new(
            "window-least",
            "self.closeTime <= self.openTime || self.closeTime - self.openTime >= duration('10s')",
            "closeTime is less than 10s after openTime; move closeTime later",
        )
        .field(".closeTime"),
        Rule::new(
            "window-most",
            "self.closeTime - self.openTime <= duration('168h')",
            "closeTime is more than 7 days (168h) after openTime; move closeTime earlier",
        )
        .field(".closeTime"),
    ];
    let registration = [
        Rule::new(
            "registration-year",
            "self.openTime.getFullYear() >= 2000",
            "registration.openTime lies before the year 2000; check the year",
        )
        .field(".openTime")
        .at("registration"),
        Rule::new(
            "registration-before-sale",
            "!has(self.registration) || self.registration.openTime < self.openTime",
            "registration.openTime is not before the sale's openTime; move it earlier",
        )
        .field(".registration.openTime"),
        Rule::new(
            "registration-close-after-open",
            "!has(self.closeTime) || self.closeTime > self.openTime",
            "registration.closeTime is not after registration.openTime; move it later",
        )
        .field(".closeTime")
        .at("registration"),
        Rule::new(
            "registration-closes-by-opening",
            "!has(self.registration) || !has(self.registration.closeTime) || self.registration.closeTime <= self.openTime",
            "registration.closeTime is after the sale's openTime; move it earlier",
        )
        .field(".registration.closeTime"),
    ];
    sale.into_iter().chain(registration).collect()
}
