//! Changes: each is tried on an object that is really there, with its status.

use std::collections::BTreeMap;

use anyhow::Result;
use futures_util::{StreamExt, TryStreamExt, stream};
use serde_json::{Value, json};

use crate::{AT_ONCE, Finding, cases, cases::Try, judge, server::Server};

/// The most items that a sale names itself.
const ITEMS_MAX: usize = 128;

pub(crate) async fn ask(server: &Server, tries: &[Try]) -> Result<Vec<Finding>> {
    // One object for all changes of the same old one.
    let mut groups: BTreeMap<(&str, String), Vec<&Try>> = BTreeMap::new();
    for one in tries {
        let old = one.old.as_ref().map(Value::to_string).unwrap_or_default();
        groups.entry((&one.kind, old)).or_default().push(one);
    }
    let findings: Vec<Vec<Finding>> = stream::iter(groups.into_values().enumerate())
        .map(|(index, group)| of_object(server, index, group))
        .buffered(AT_ONCE)
        .try_collect()
        .await?;
    let mut findings: Vec<Finding> = findings.into_iter().flatten().collect();
    findings.push(largest(server).await?);
    Ok(findings)
}

async fn of_object(server: &Server, index: usize, group: Vec<&Try>) -> Result<Vec<Finding>> {
    let name = format!("changed-{}-{index}", std::process::id());
    let Some(first) = group.first() else {
        return Ok(Vec::new());
    };
    server
        .keep(&first.kind, first.old.as_ref().unwrap_or(&Value::Null), &name)
        .await?;
    let mut findings = Vec::new();
    for one in &group {
        let answer = server.replace(&one.kind, &name, &one.new, one.is_status).await?;
        findings.push(judge(one, &answer));
    }
    server.drop(&first.kind, &name).await?;
    Ok(findings)
}

/// The costliest change of all: every item of a full list gets another title while every lock binds. An API server
/// gives up on rules that cost too much, and refuses the object.
async fn largest(server: &Server) -> Result<Finding> {
    let mut sale = cases::bases().remove("sale-inline").unwrap_or_default();
    let with_titles = |title: &str| -> Vec<Value> {
        let item = |index| {
            json!({ "id": format!("{index:0>64}"), "title": title, "sku": format!("{index:0>128}"), "price": "999999999999.99",
                "stock": 100_000_000, "limitPerBuyer": 1000 })
        };
        (0..ITEMS_MAX).map(item).collect()
    };
    sale["spec"]["items"] = with_titles(&"a".repeat(200)).into();
    sale["status"] = json!({ "lockLevel": 5, "phase": "Settling" });
    let name = format!("largest-{}", std::process::id());
    server.keep("FlashSale", &sale, &name).await?;
    sale["spec"]["items"] = with_titles(&"b".repeat(200)).into();
    let answer = server.replace("FlashSale", &name, &sale, false).await?;
    server.drop("FlashSale", &name).await?;
    Ok(Finding {
        subject: format!("{ITEMS_MAX} items changed at once"),
        difference: (!answer.is_accepted).then(|| format!("should be taken, but: {}", answer.message)),
        is_refusal: false,
    })
}
