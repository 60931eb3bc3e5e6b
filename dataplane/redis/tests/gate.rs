//! Who gets into a shard, and what is left when something breaks, on real redis-servers.

#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

use flashsale_core::attempt::{Answer, Attempt, Verdict};
use flashsale_core::engine::{Engine, Rules};
use flashsale_core::ids::{BuyerKey, Epoch, ItemIx, OwnerId, RequestKey, SaleUid, ShardId};
use flashsale_core::units::UnitRange;
use flashsale_redis::{
    BuyerShard, CallError, ConnectError, Credentials, Options, Persistence, ShardName, SidecarShard,
};
use flashsale_servers::{Aof, RedisOptions, RedisServer};
use std::time::Duration;

const ME: OwnerId = OwnerId(11);
const UNITS: u32 = 100;

fn rules() -> Rules {
    Rules {
        opens: 0,
        closes: u64::MAX,
        limits: vec![1],
        registered_only: false,
        registrations_max: 10,
    }
}

fn name(sale: u128) -> ShardName {
    ShardName::new(SaleUid(sale), ShardId(3))
}

fn attempt(buyer: u128) -> Attempt {
    Attempt {
        token: 0,
        buyer: BuyerKey(buyer),
        buyer_id: format!("buyer-{buyer}").into(),
        item: ItemIx(0),
        quantity: 1,
        key: Some(RequestKey(buyer << 64 | 7)),
    }
}

async fn durable() -> (RedisServer, Options) {
    let server = RedisServer::start(RedisOptions {
        aof: Aof::Always,
        ..RedisOptions::default()
    })
    .await
    .unwrap();
    let options = Options::new(server.url());
    (server, options)
}

/// An open shard with units.
async fn open(options: &Options, sale: u128) -> (SidecarShard, BuyerShard, Credentials) {
    let mut sidecar = SidecarShard::connect(options, name(sale)).await.unwrap();
    sidecar.load(&Engine::new(rules()), Epoch(1), ME).await.unwrap();
    sidecar
        .load_units(1, ItemIx(0), UnitRange { first: 0, len: UNITS })
        .await
        .unwrap();
    let login = sidecar.open_gate(Epoch(1)).await.unwrap();
    let gateway = BuyerShard::connect(options, name(sale), &login).await.unwrap();
    (sidecar, gateway, login)
}

async fn raw(
    options: &Options,
    login: Option<&Credentials>,
    words: &[&str],
) -> redis::RedisResult<redis::Value> {
    let mut url = options.url.clone();
    if let Some(login) = login {
        let address = options.address();
        url = format!(
            "redis://{}:{}@{address}",
            login.user.replace(':', "%3A"),
            login.password
        );
    }
    let client = redis::Client::open(url).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await?;
    let mut command = redis::cmd(words[0]);
    command.arg(&words[1..]);
    command.query_async(&mut connection).await
}

fn taken(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Answer(Answer::Taken(_)))
}

#[tokio::test]
async fn a_closed_gate_and_a_wrong_epoch_take_nothing() {
    let (_server, options) = durable().await;
    let (sidecar, gateway, login) = open(&options, 1).await;
    assert!(taken(
        &gateway.purchase(Epoch(1), &[], &[attempt(1)]).await.unwrap()[0]
    ));
    let before = sidecar.dump().await.unwrap();
    assert_eq!(
        gateway.purchase(Epoch(2), &[], &[attempt(2)]).await,
        Err(CallError::WrongEpoch)
    );
    assert_eq!(
        gateway.register(Epoch(2), &[BuyerKey(2)]).await,
        Err(CallError::WrongEpoch)
    );
    sidecar.close_gate(Epoch(1)).await.unwrap();
    let cut = gateway.purchase(Epoch(1), &[], &[attempt(2)]).await.unwrap_err();
    assert!(
        matches!(cut, CallError::Unknown { .. } | CallError::NotSent { .. }),
        "{cut}"
    );
    let after = gateway.purchase(Epoch(1), &[], &[attempt(2)]).await.unwrap_err();
    assert!(matches!(after, CallError::NotSent { .. }), "{after}");
    let again = BuyerShard::connect(&options, name(1), &login).await.unwrap_err();
    assert!(matches!(again, ConnectError::Login { .. }), "{again}");
    // Somebody whom deleting the gateways' users doesn't cut off finds the shard itself closed.
    let password = options.url.split([':', '@']).nth(2).unwrap().to_owned();
    let admin = Credentials {
        user: "default".into(),
        password,
    };
    let inside = BuyerShard::connect(&options, name(1), &admin).await.unwrap();
    assert_eq!(
        inside.purchase(Epoch(1), &[], &[attempt(2)]).await,
        Err(CallError::Closed)
    );
    assert_eq!(sidecar.dump().await.unwrap(), before);
}

#[tokio::test]
async fn closing_for_an_old_epoch_leaves_the_new_one_open() {
    let (_server, options) = durable().await;
    let (old, _, _) = open(&options, 1).await;
    let mut new = SidecarShard::connect(&options, name(1)).await.unwrap();
    new.load(&Engine::new(rules()), Epoch(2), OwnerId(12))
        .await
        .unwrap();
    let login = new.open_gate(Epoch(2)).await.unwrap();
    let gateway = BuyerShard::connect(&options, name(1), &login).await.unwrap();
    assert_eq!(old.close_gate(Epoch(1)).await, Err(CallError::WrongEpoch));
    assert_eq!(
        gateway.purchase(Epoch(2), &[], &[attempt(1)]).await,
        Ok(vec![Verdict::Empty])
    );
}

#[tokio::test]
async fn an_owner_that_was_succeeded_can_do_nothing() {
    let (_server, options) = durable().await;
    let (mut old, _, _) = open(&options, 1).await;
    let mut new = SidecarShard::connect(&options, name(1)).await.unwrap();
    new.load(&Engine::new(rules()), Epoch(2), OwnerId(12))
        .await
        .unwrap();
    let state = new.dump().await.unwrap();
    let units = UnitRange { first: 500, len: 5 };
    assert_eq!(
        old.load_units(2, ItemIx(0), units).await,
        Err(CallError::WrongEpoch)
    );
    assert_eq!(
        old.transfer_out(ShardId(1), ItemIx(0), 5).await,
        Err(CallError::WrongEpoch)
    );
    assert_eq!(old.release(&[]).await, Err(CallError::WrongEpoch));
    assert_eq!(old.trim(1).await, Err(CallError::WrongEpoch));
    assert_eq!(
        old.load(&Engine::new(rules()), Epoch(1), ME).await,
        Err(CallError::WrongEpoch)
    );
    assert_eq!(
        old.load(&Engine::new(rules()), Epoch(2), ME).await,
        Err(CallError::WrongOwner)
    );
    assert_eq!(new.dump().await.unwrap(), state);
}

#[tokio::test]
async fn after_kill_9_the_data_is_back_and_the_gate_is_shut() {
    let (mut server, options) = durable().await;
    let (sidecar, gateway, login) = open(&options, 1).await;
    let attempts: Vec<Attempt> = (1..=50).map(attempt).collect();
    assert!(
        gateway
            .purchase(Epoch(1), &[9], &attempts)
            .await
            .unwrap()
            .iter()
            .all(taken)
    );
    let before = sidecar.dump().await.unwrap();
    server.kill();
    let lost = gateway.purchase(Epoch(1), &[], &[attempt(60)]).await.unwrap_err();
    assert!(
        matches!(lost, CallError::Unknown { .. } | CallError::NotSent { .. }),
        "{lost}"
    );
    server.restart().await.unwrap();
    let refused = BuyerShard::connect(&options, name(1), &login).await.unwrap_err();
    assert!(matches!(refused, ConnectError::Login { .. }), "{refused}");
    let new = SidecarShard::connect(&options, name(1)).await.unwrap();
    assert_eq!(new.dump().await.unwrap(), before);
    let left = new.leftover_outbox().await.unwrap().unwrap();
    assert_eq!((left.epoch, left.owner, left.events.len()), (Epoch(1), ME, 51));
}

#[tokio::test]
async fn a_redis_that_lost_everything_says_absent_and_can_be_rebuilt() {
    let (mut server, options) = durable().await;
    let (_, _, _) = open(&options, 1).await;
    server.restart_wiped().await.unwrap();
    let mut sidecar = SidecarShard::connect(&options, name(1)).await.unwrap();
    assert_eq!(sidecar.status().await, Err(CallError::Absent));
    assert_eq!(sidecar.leftover_outbox().await, Ok(None));
    sidecar.load(&Engine::new(rules()), Epoch(2), ME).await.unwrap();
    assert_eq!(sidecar.status().await.unwrap().state, "closed");
}

#[tokio::test]
async fn a_load_that_was_cut_short_is_closed_and_leaves_nothing_to_count() {
    let (_server, options) = durable().await;
    let (mut sidecar, gateway, _) = open(&options, 1).await;
    let meta = format!("fs:{{{:032x}:3}}:meta", 1);
    let uid = format!("{:032x}", 1);
    raw(
        &options,
        None,
        &["FCALL", "fs1_begin", "1", &meta, &uid, "2", "12"],
    )
    .await
    .unwrap();
    assert_eq!(
        gateway.purchase(Epoch(2), &[], &[attempt(1)]).await,
        Err(CallError::Closed)
    );
    assert_eq!(sidecar.leftover_outbox().await, Ok(None));
    sidecar.load(&Engine::new(rules()), Epoch(3), ME).await.unwrap();
}

#[tokio::test]
async fn another_sale_on_the_same_redis_is_neither_seen_nor_touched() {
    let (_server, options) = durable().await;
    let (one, _, login) = open(&options, 1).await;
    let (two, gateway, _) = open(&options, 2).await;
    gateway.purchase(Epoch(1), &[], &[attempt(1)]).await.unwrap();
    let before = two.dump().await.unwrap();
    let foreign = format!("fs:{{{:032x}:3}}:meta", 2);
    let mine = format!("fs:{{{:032x}:3}}:meta", 1);
    for words in [
        vec!["HGET", &foreign, "uid"],
        vec!["GET", &mine],
        vec!["FLUSHALL"],
        vec!["KEYS", "*"],
        vec!["CONFIG", "GET", "requirepass"],
        vec!["FCALL", "fs1_trim", "1", &mine],
        vec!["FCALL", "fs1_purchase", "1", &foreign],
    ] {
        let refused = raw(&options, Some(&login), &words).await.unwrap_err();
        assert_eq!(refused.code(), Some("NOPERM"), "{words:?}: {refused}");
    }
    let foreign = BuyerShard::connect(&options, name(2), &login).await.unwrap();
    let refused = foreign.purchase(Epoch(1), &[], &[attempt(5)]).await.unwrap_err();
    assert!(refused.nothing_written(), "{refused}");
    assert!(one.drop_sale().await.unwrap() > 0);
    assert_eq!(one.status().await, Err(CallError::Absent));
    assert_eq!(two.dump().await.unwrap(), before);
    assert!(taken(
        &gateway.purchase(Epoch(1), &[], &[attempt(2)]).await.unwrap()[0]
    ));
}

#[tokio::test]
async fn out_of_memory_takes_nothing_and_trimming_still_works() {
    let (_server, options) = durable().await;
    let (sidecar, gateway, _) = open(&options, 1).await;
    gateway.purchase(Epoch(1), &[], &[attempt(1)]).await.unwrap();
    let before = sidecar.dump().await.unwrap();
    raw(&options, None, &["CONFIG", "SET", "maxmemory", "1mb"])
        .await
        .unwrap();
    let refused = gateway.purchase(Epoch(1), &[], &[attempt(2)]).await.unwrap_err();
    assert!(
        matches!(&refused, CallError::Refused { reason, .. } if reason.contains("OOM")),
        "{refused}"
    );
    assert_eq!(sidecar.dump().await.unwrap(), before);
    assert_eq!(sidecar.trim(1).await, Ok(1));
    assert_eq!(sidecar.read_outbox(1).await.unwrap()[0].n, 2);
    raw(&options, None, &["CONFIG", "SET", "maxmemory", "0"])
        .await
        .unwrap();
    assert!(taken(
        &gateway.purchase(Epoch(1), &[], &[attempt(2)]).await.unwrap()[0]
    ));
}

#[tokio::test]
async fn flushed_functions_are_a_clear_refusal_and_come_back_with_the_next_owner() {
    let (_server, options) = durable().await;
    let (_sidecar, gateway, _) = open(&options, 1).await;
    raw(&options, None, &["FUNCTION", "FLUSH"]).await.unwrap();
    let refused = gateway.purchase(Epoch(1), &[], &[attempt(1)]).await.unwrap_err();
    let CallError::Refused { reason, .. } = &refused else {
        panic!("{refused}")
    };
    assert!(reason.contains("function library is missing"), "{reason}");
    let _next = SidecarShard::connect(&options, name(1)).await.unwrap();
    assert!(taken(
        &gateway.purchase(Epoch(1), &[], &[attempt(1)]).await.unwrap()[0]
    ));
}

#[tokio::test]
async fn an_attempt_whose_answer_was_lost_is_found_again_by_its_key() {
    let (server, options) = durable().await;
    let options = Options {
        response_timeout: Duration::from_millis(200),
        ..options
    };
    let (_sidecar, gateway, _) = open(&options, 1).await;
    server.freeze();
    let lost = gateway.purchase(Epoch(1), &[], &[attempt(1)]).await.unwrap_err();
    assert!(matches!(lost, CallError::Unknown { .. }), "{lost}");
    server.thaw();
    let patient = Options {
        response_timeout: Duration::from_secs(10),
        ..options
    };
    let sidecar = SidecarShard::connect(&patient, name(1)).await.unwrap();
    // It was in the frozen server's socket, so it is decided by the time that anything later is answered.
    assert_eq!(sidecar.status().await.unwrap().n, 2);
    let again = gateway.purchase(Epoch(1), &[], &[attempt(1)]).await.unwrap();
    assert!(
        matches!(again[0], Verdict::Answer(Answer::Existing(t)) if t.ticket.n == 2),
        "{again:?}"
    );
}

#[tokio::test]
async fn calls_in_flight_together_on_one_connection_never_sell_a_unit_twice() {
    let (_server, options) = durable().await;
    let (sidecar, gateway, _) = open(&options, 1).await;
    let calls: Vec<_> = (0..20u128)
        .map(|lane| {
            let gateway = gateway.clone();
            tokio::spawn(async move {
                let attempts: Vec<Attempt> = (0..10).map(|i| attempt(1 + lane * 10 + i)).collect();
                gateway
                    .purchase(Epoch(1), &[], &attempts)
                    .await
                    .unwrap()
                    .iter()
                    .filter(|v| taken(v))
                    .count()
            })
        })
        .collect();
    let mut sold = 0;
    for call in calls {
        sold += call.await.unwrap();
    }
    assert_eq!(sold, UNITS as usize);
    let state = sidecar.dump().await.unwrap();
    let mut units: Vec<u32> = state
        .kept
        .iter()
        .flat_map(|k| k.units.iter().flat_map(|r| r.iter()))
        .collect();
    units.sort_unstable();
    assert_eq!(units, (0..UNITS).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_redis_that_cannot_serve_a_sale_is_refused_in_one_line_with_the_mend() {
    let (server, options) = durable().await;
    let plain = |config: &[(&str, &str)]| {
        let options = RedisOptions {
            aof: Aof::EverySecond,
            ..RedisOptions::default()
        };
        config
            .iter()
            .fold(options, |options, (name, value)| options.with(name, value))
    };
    let evicting = RedisServer::start(plain(&[("maxmemory-policy", "allkeys-lru")]))
        .await
        .unwrap();
    let forgetful = RedisServer::start(RedisOptions {
        aof: Aof::Off,
        ..RedisOptions::default()
    })
    .await
    .unwrap();
    let replica = RedisOptions {
        replica_of: Some(server.port()),
        ..plain(&[])
    };
    let replica = RedisServer::start(replica).await.unwrap();
    let free = flashsale_servers::free_port().unwrap();
    let address = options.address();
    for (url, says) in [
        (evicting.url(), "set maxmemory-policy noeviction"),
        (forgetful.url(), "set appendonly yes"),
        (replica.url(), "connect to its primary"),
        (
            format!("redis://:wrong@{address}"),
            "check the user and the password",
        ),
        (format!("redis://:x@127.0.0.1:{free}"), "check that it runs"),
        ("http://127.0.0.1".to_owned(), "write redis://"),
    ] {
        let error = SidecarShard::connect(&Options::new(url), name(1))
            .await
            .unwrap_err()
            .to_string();
        assert!(
            error.contains(says) && error.contains("127.0.0.1") && !error.contains('\n'),
            "{error}"
        );
    }
    let any = Options {
        persistence: Persistence::Any,
        ..Options::new(forgetful.url())
    };
    SidecarShard::connect(&any, name(1)).await.unwrap();
}

#[tokio::test]
async fn a_newer_library_is_not_replaced() {
    let (_server, options) = durable().await;
    let newer = "#!lua name=flashsale_v2\nredis.register_function('fs2_status', function() return 1 end)";
    raw(&options, None, &["FUNCTION", "LOAD", newer]).await.unwrap();
    let refused = SidecarShard::connect(&options, name(1))
        .await
        .unwrap_err()
        .to_string();
    assert!(refused.contains("flashsale_v2, which is newer"), "{refused}");
}

#[tokio::test]
async fn keys_that_say_another_sale_are_refused() {
    let (_server, options) = durable().await;
    let meta = format!("fs:{{{:032x}:3}}:meta", 1);
    raw(
        &options,
        None,
        &["HSET", &meta, "uid", "somebody-elses", "epoch", "1"],
    )
    .await
    .unwrap();
    let refused = SidecarShard::connect(&options, name(1))
        .await
        .unwrap_err()
        .to_string();
    assert!(refused.contains("another sale"), "{refused}");
}
