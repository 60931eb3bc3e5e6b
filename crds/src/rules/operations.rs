//! A sale's name, its switches and its end.

use super::Rule;

/// Rules on the name. What belongs to a sale is called `<sale>-…`, and Services must begin with a letter.
pub(super) fn names() -> Vec<Rule> {
    vec![
        Rule::new(
            "name-length",
            "self.metadata.name.size() <= 32",
            "metadata.name is longer than 32 characters; shorten it, so that the names of what belongs to the sale fit",
        ),
        Rule::new(
            "name-label",
            "self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",
            "metadata.name is no name of a sale; begin with a letter, go on with lower-case letters, digits and `-`, end with no `-`",
        )
        .shows("'metadata.name \"' + self.metadata.name + '\" is no name of a sale; begin with a letter, go on with lower-case letters, digits and `-`, end with no `-`'"),
    ]
}

/// Places are within `spec`.
pub(super) fn rules() -> Vec<Rule> {
    vec![
        Rule::new(
            "switch-given",
            "has(self.sale) || has(self.entry) || has(self.stock) || has(self.orderLog) || has(self.orders) || has(self.pages) || has(self.followUps) || has(self.rooms)",
            "switches sets no switch; set one, such as sale: {paused: true}, or remove it",
        )
        .required()
        .at("switches"),
        Rule::new(
            "cancellation-stays",
            "self == oldSelf",
            "cancellation can't be changed once it is set; a new sale needs a FlashSale of its own",
        )
        .forbidden()
        .at("cancellation"),
        Rule::new(
            "cancellation-is-final",
            "!has(oldSelf.cancellation) || has(self.cancellation)",
            "cancellation can't be taken back; create a new FlashSale instead",
        )
        .field(".cancellation")
        .forbidden(),
    ]
}
