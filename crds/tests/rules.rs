//! Every rule takes what it must and refuses what it must, with the sentence that it must: judged here by an
//! interpreter of CEL. `examples/against-api-server` asks the same of a real API server.

mod cases;

use std::{collections::BTreeMap, fs, path::Path};

use cases::Try;
use flashsale_crds::{
    FlashSale, FlashSaleSpec, class::FlashSaleClassSpec, crd::object_schema, objects,
    switch::FlashSaleSwitchSpec,
};
use kube_core::cel::{CompiledSchema, RootContext, Validator, compile_schema};
use serde_json::Value;

fn schema(kind: &str) -> Value {
    match kind {
        "FlashSaleClass" => object_schema::<FlashSaleClassSpec>(),
        "FlashSaleSwitch" => object_schema::<FlashSaleSwitchSpec>(),
        _ => object_schema::<FlashSaleSpec>(),
    }
}

/// What the rules say of an object, sorted.
fn judged(
    validator: &Validator,
    schemas: &BTreeMap<String, CompiledSchema>,
    kind: &str,
    new: &Value,
    old: Option<&Value>,
) -> Vec<String> {
    let context = RootContext {
        api_version: "flashsale.dev/v1alpha1".to_owned(),
        api_group: "flashsale.dev".to_owned(),
        kind: kind.to_owned(),
    };
    match validator.validate_compiled_with_context(&schemas[kind], new, old, Some(&context)) {
        Ok(()) => Vec::new(),
        Err(errors) => errors.iter().map(|error| error.message.clone()).collect(),
    }
}

fn schemas() -> BTreeMap<String, CompiledSchema> {
    let kinds = cases::rules_by_kind();
    kinds
        .into_iter()
        .map(|(kind, _)| (kind.to_owned(), compile_schema(&schema(kind))))
        .collect()
}

#[test]
fn every_object_is_taken_or_refused_with_its_one_sentence() {
    let (validator, schemas) = (Validator::new(), schemas());
    let mut wrong = Vec::new();
    for one in cases::tries() {
        let said = judged(&validator, &schemas, &one.kind, &one.new, one.old.as_ref());
        let wanted: Vec<String> = one.message.iter().cloned().collect();
        let is_right = if one.is_alone {
            said == wanted
        } else {
            wanted.iter().all(|message| said.contains(message))
        };
        if !is_right {
            wrong.push(format!(
                "{} {} at `{}`\n  wanted {wanted:?}\n  said   {said:?}",
                one.kind, one.rule, one.at
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of the fixtures:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[test]
fn every_rule_has_an_object_that_it_takes_and_one_that_it_refuses() {
    let tries = cases::tries();
    let mut missing = Vec::new();
    for (kind, rules) in cases::rules_by_kind() {
        for rule in rules {
            let of_rule = |is_wanted: fn(&Try) -> bool| {
                tries.iter().any(|one| {
                    one.kind == kind && one.rule == rule.name && one.at == rule.at && is_wanted(one)
                })
            };
            if !of_rule(|one| one.message.is_none()) || !of_rule(|one| one.message.is_some()) {
                missing.push(format!("{kind} {} at `{}`", rule.name, rule.at));
            }
        }
    }
    assert!(missing.is_empty(), "no fixtures for:\n{}", missing.join("\n"));
}

#[test]
fn what_the_rules_take_the_types_read() {
    for one in cases::tries().into_iter().filter(|one| one.message.is_none()) {
        let read = match one.kind.as_str() {
            "FlashSaleClass" => serde_json::from_value::<objects::FlashSaleClass>(one.new).err(),
            "FlashSaleSwitch" => serde_json::from_value::<objects::FlashSaleSwitch>(one.new).err(),
            _ => serde_json::from_value::<objects::FlashSale>(one.new).err(),
        };
        assert!(
            read.is_none(),
            "{} {} at `{}`: {read:?}",
            one.kind,
            one.rule,
            one.at
        );
    }
}

/// The fixtures hold each lock to its level: one that bound a level earlier or later would be noticed.
#[test]
fn a_lock_at_another_level_is_noticed() {
    let validator = Validator::new();
    let schema = schema("FlashSale");
    let tries: Vec<Try> = cases::tries()
        .into_iter()
        .filter(|one| one.kind == "FlashSale" && one.old.is_some())
        .collect();
    let rules = schema["x-kubernetes-validations"].as_array().unwrap();
    let (mut locks, mut unnoticed) = (0, Vec::new());
    for (index, rule) in rules.iter().enumerate() {
        let Some((before, rest)) = rule["rule"].as_str().unwrap().split_once("lockLevel : 0) < ") else {
            continue;
        };
        let (level, condition) = rest.split_once(' ').unwrap();
        let level: i32 = level.parse().unwrap();
        for other in [level - 1, level + 1] {
            let mut changed = schema.clone();
            changed["x-kubernetes-validations"][index]["rule"] =
                format!("{before}lockLevel : 0) < {other} {condition}").into();
            let changed = BTreeMap::from([("FlashSale".to_owned(), compile_schema(&changed))]);
            let is_noticed = tries.iter().any(|one| {
                let said = judged(&validator, &changed, &one.kind, &one.new, one.old.as_ref());
                said != one.message.iter().cloned().collect::<Vec<_>>()
            });
            if !is_noticed {
                unnoticed.push(format!(
                    "nothing tells {level} from {other} in: {}",
                    rule["message"]
                ));
            }
        }
        locks += 1;
    }
    assert!(locks >= 20, "only {locks} locks");
    assert!(unnoticed.is_empty(), "{}", unnoticed.join("\n"));
}

/// The interpreter looks at rules alone; what the fixtures start from must also be right in fields, types and limits.
#[test]
fn what_the_fixtures_start_from_is_right_in_shape() {
    for (name, base) in cases::bases() {
        let text = base.to_string();
        let refusals = match base["kind"].as_str() {
            Some("FlashSaleClass") => objects::FlashSaleClass::parse(&text).err(),
            Some("FlashSaleSwitch") => objects::FlashSaleSwitch::parse(&text).err(),
            _ => FlashSale::parse(&text).err(),
        };
        assert_eq!(refusals, None, "{name}");
    }
}

/// Every example is what an API server takes, and the file of a sale what `flashsale up` takes.
#[test]
fn the_examples_are_right() {
    let (validator, schemas) = (Validator::new(), schemas());
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    let mut kinds = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|name| name != "yaml") {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let object: Value = serde_saphyr::from_str(&text).unwrap();
        let kind = object["kind"].as_str().unwrap().to_owned();
        let said = judged(&validator, &schemas, &kind, &object, None);
        assert_eq!(said, Vec::<String>::new(), "{}", path.display());
        let refusals = match kind.as_str() {
            "FlashSaleClass" => objects::FlashSaleClass::parse(&text).err(),
            "FlashSaleSwitch" => objects::FlashSaleSwitch::parse(&text).err(),
            _ => FlashSale::parse(&text).err(),
        };
        assert_eq!(refusals, None, "{}", path.display());
        *kinds.entry(kind).or_insert(0) += 1;
    }
    assert!(
        kinds["FlashSale"] >= 4 && kinds["FlashSaleClass"] == 1 && kinds["FlashSaleSwitch"] == 1,
        "{kinds:?}"
    );
}
