//! What the operator reports can't go back, whoever writes it: the locks depend on it.

use super::Rule;

/// The level above which nothing is pinned anew.
const PINNED: &str = "!has(oldSelf.lockLevel) || oldSelf.lockLevel < 3";

fn kept(field: &str) -> String {
    format!("!has(oldSelf.{field}) || has(self.{field})")
}

fn pinned(name: &'static str, field: &str, key: &str, message: &str) -> Rule {
    let rule = format!(
        "{PINNED} || !has(oldSelf.{field}) || (has(self.{field}) && self.{field}.{key} == oldSelf.{field}.{key})"
    );
    Rule::new(name, rule, message)
        .field(format!(".{field}"))
        .forbidden()
}

pub(super) fn rules() -> Vec<Rule> {
    let object = Rule::new(
        "status-stays",
        kept("status"),
        "status can't be removed: what is fixed in the spec goes by it; write the old status",
    )
    .forbidden();
    let status = vec![
        Rule::new(
            "level-stays",
            kept("lockLevel"),
            "lockLevel can't be removed: what is fixed in the spec goes by it; write the old level",
        )
        .field(".lockLevel")
        .forbidden(),
        Rule::new(
            "level-grows",
            "self >= oldSelf",
            "lockLevel never goes back: what was fixed stays fixed; read the object again",
        )
        .forbidden()
        .at("lockLevel"),
        pinned(
            "class-pinned",
            "class",
            "generation",
            "class is pinned once the sale is armed; edits of the class reach new sales only",
        ),
        pinned(
            "revision-pinned",
            "revision",
            "name",
            "revision is pinned once the sale is armed; a new one reaches new sales only",
        ),
        Rule::new(
            "load-stays-begun",
            "!has(oldSelf.load) || oldSelf.load.state == 'Unseeded' || (has(self.load) && self.load.state != 'Unseeded')",
            "load was begun and can't be undone: beginning anew would load stock twice; go on with it",
        )
        .field(".load")
        .forbidden(),
        Rule::new(
            "outcome-stays",
            "!has(oldSelf.outcome) || (has(self.outcome) && self.outcome == oldSelf.outcome)",
            "outcome is final; it can't be changed: read the object again",
        )
        .field(".outcome")
        .forbidden(),
        Rule::new(
            "settled-is-final",
            "!has(oldSelf.phase) || oldSelf.phase != 'Settled' || (has(self.phase) && self.phase == 'Settled')",
            "phase Settled is final; it can't be left: create a new FlashSale",
        )
        .field(".phase")
        .forbidden(),
    ];
    [vec![object], super::within("status", status)].concat()
}
