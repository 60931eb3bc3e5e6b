//! Namespace, topics and policies, read back from the admin API.

use crate::world::{World, layout};
use flashsale_pulsar::{Admin, AdminError, Change, LogError, Names, Service, Topic, probe};
use serde_json::{Value, json};
use std::sync::Arc;

/// What the admin API itself says, past the code under test.
async fn raw(world: &World, path: &str) -> Value {
    let response = reqwest::get(format!("{}/admin/v2/{path}", world.admin.url()))
        .await
        .expect("an answer");
    response.json().await.expect("JSON")
}

async fn post(world: &World, path: &str, body: &Value) {
    let url = format!("{}/admin/v2/{path}", world.admin.url());
    let response = reqwest::Client::new()
        .post(url)
        .json(body)
        .send()
        .await
        .expect("an answer");
    assert!(response.status().is_success(), "{path}: {}", response.status());
}

async fn delete(world: &World, path: &str) {
    let url = format!("{}/admin/v2/{path}", world.admin.url());
    let response = reqwest::Client::new()
        .delete(url)
        .send()
        .await
        .expect("an answer");
    assert!(response.status().is_success(), "{path}: {}", response.status());
}

pub(crate) async fn what_is_missing_is_made_and_reads_back(world: Arc<World>) {
    let layout = layout(6);
    let (one, two) = tokio::join!(world.admin.ensure(&layout), world.admin.ensure(&layout));
    let made = one.expect("made");
    two.expect("made by two at once");
    assert!(!made.is_empty());
    assert_eq!(
        world.admin.ensure(&layout).await.expect("made"),
        [],
        "nothing to do the second time"
    );

    let namespace = raw(&world, &format!("namespaces/{}", layout.names)).await;
    assert_eq!(
        namespace["retention_policies"],
        json!({"retentionTimeInMinutes": -1, "retentionSizeInMB": -1})
    );
    assert_eq!(namespace["deduplicationEnabled"], json!(false));
    assert_eq!(namespace["message_ttl_in_seconds"], json!(0));
    let quota = &namespace["backlog_quota_map"]["destination_storage"];
    assert_eq!(quota["policy"], json!("producer_exception"), "nothing is evicted");
    let topics = world.admin.topics(&layout.names).await.expect("topics");
    for partition in 0..6 {
        assert!(topics.contains(&layout.names.partition(Topic::Orders, partition)));
    }
    for topic in [Topic::Close, Topic::FollowUps, Topic::Retry, Topic::DeadLetter] {
        assert!(topics.contains(&layout.names.partition(topic, 0)));
    }
}

pub(crate) async fn drift_is_repaired_and_said(world: Arc<World>) {
    let mut layout = world.sale(2).await;
    let namespace = format!("namespaces/{}", layout.names);
    let finite = json!({"retentionTimeInMinutes": 5, "retentionSizeInMB": 5});
    post(&world, &format!("{namespace}/retention"), &finite).await;
    post(&world, &format!("{namespace}/deduplication"), &json!(true)).await;
    delete(
        &world,
        &format!("persistent/{}/retry/partitions?force=true", layout.names),
    )
    .await;

    let found = world.admin.drift(&layout).await.expect("drift");
    let said: Vec<String> = found.iter().map(ToString::to_string).collect();
    assert_eq!(said.len(), 3, "{said:?}");
    assert!(
        said[0].starts_with("retention set to") && said[0].contains("-1"),
        "{said:?}"
    );
    assert!(
        said[1].starts_with("de-duplication set to false, was true"),
        "{said:?}"
    );
    assert!(said[2].contains("retry created with 1 partitions"), "{said:?}");
    assert_eq!(world.admin.ensure(&layout).await.expect("repaired"), found);
    assert_eq!(world.admin.drift(&layout).await.expect("drift"), []);

    // A partition that is gone comes back, and that is said: its records don't.
    delete(
        &world,
        &format!("persistent/{}/orders-partition-1?force=true", layout.names),
    )
    .await;
    let gone = Change::Partition(layout.names.partition(Topic::Orders, 1));
    assert_eq!(world.admin.ensure(&layout).await.expect("repaired"), [gone]);

    layout.shards = 4;
    let grown = world.admin.ensure(&layout).await.expect("grown");
    assert!(
        matches!(
            grown[..],
            [Change::Topic {
                found: 2,
                wanted: 4,
                ..
            }]
        ),
        "{grown:?}"
    );
    layout.shards = 3;
    let refused = world
        .admin
        .ensure(&layout)
        .await
        .expect_err("partitions can't be removed");
    assert!(
        matches!(
            refused,
            AdminError::TooManyPartitions {
                found: 4,
                wanted: 3,
                ..
            }
        ),
        "{refused}"
    );
}

pub(crate) async fn teardown_leaves_nothing_and_may_come_again(world: Arc<World>) {
    let (layout, other) = (world.sale(2).await, world.sale(1).await);
    // With somebody still connected.
    let reader = world.reader(&layout);
    let removed = world.admin.teardown(&layout).await.expect("removed");
    assert_eq!(removed.len(), Topic::ALL.len() + 1, "{removed:?}");
    assert_eq!(removed.last(), Some(&layout.names.namespace()));
    let left = raw(&world, &format!("namespaces/{}", layout.names.tenant())).await;
    assert!(!left.to_string().contains(&layout.names.namespace()), "{left}");
    assert!(
        left.to_string().contains(&other.names.namespace()),
        "other sales stay"
    );
    assert_eq!(
        world.admin.teardown(&layout).await.expect("nothing to do"),
        Vec::<String>::new()
    );
    drop(reader);
    let gone = probe(&world.service, &layout.names, 0)
        .await
        .expect_err("no topic");
    assert!(matches!(gone, LogError::MissingTopic { .. }), "{gone}");
}

pub(crate) async fn errors_say_which_where_and_what_to_do(world: Arc<World>) {
    let nobody = format!(
        "http://127.0.0.1:{}",
        flashsale_servers::free_port().expect("a port")
    );
    let admin = Admin::new(&nobody, None).expect("a client");
    let error = admin.ensure(&layout(1)).await.expect_err("nobody is there");
    let told = error.to_string();
    assert!(matches!(error, AdminError::Unreachable { .. }), "{told}");
    assert!(
        told.contains(&nobody) && told.contains("refused") && !told.contains('\n'),
        "{told}"
    );

    let nobody = nobody.replace("http", "pulsar");
    let names = Names::new("shop", flashsale_core::ids::SaleUid(0));
    let error = probe(&Service::new(&nobody, None), &names, 0)
        .await
        .expect_err("nobody is there");
    assert!(matches!(error, LogError::Unreachable { .. }), "{error}");
    assert!(error.to_string().contains(&nobody), "{error}");

    // A topic that nobody made; and auto-creation doesn't make it.
    let sale = world.sale(1).await;
    let error = probe(&world.service, &sale.names, 5)
        .await
        .expect_err("no such partition");
    assert!(matches!(error, LogError::MissingTopic { .. }), "{error}");
    let missing = world.admin.topics(&names).await.expect_err("no such namespace");
    assert!(matches!(missing, AdminError::Missing { .. }), "{missing}");
}
