//! Event streams.

use crate::stand::{Setup, Stand};
use flashsale_core::order::State;
use reqwest::{Method, Response};
use serde_json::Value;

/// A stream as a browser reads it.
struct Events {
    response: Response,
    read: String,
}

impl Events {
    async fn of(stand: &Stand, ticket: &str, buyer: &str) -> Self {
        let path = format!("/v1/tickets/{ticket}/events");
        let response = stand.call(Method::GET, &path, buyer).send().await.unwrap();
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self {
            response,
            read: String::new(),
        }
    }

    /// The next ticket; `None` at the end of the stream.
    async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some((event, rest)) = self.read.split_once("\n\n") {
                let data = event.strip_prefix("event: ticket\ndata: ").map(str::to_owned);
                self.read = rest.to_owned();
                match data {
                    Some(data) => return Some(serde_json::from_str(&data).unwrap()),
                    None => continue,
                }
            }
            let chunk = self.response.chunk().await.unwrap()?;
            self.read.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }

    async fn until(&mut self, state: &str) -> Value {
        loop {
            let event = self.next().await.expect("the stream goes on");
            if event["state"] == state {
                return event;
            }
        }
    }
}

#[tokio::test]
async fn a_stream_tells_the_ticket_at_once_each_change_and_ends_with_the_final_one() {
    let stand = Stand::start(Setup::default()).await;
    let ticket = stand.buy("alice").await.ticket().to_owned();
    let mut events = Events::of(&stand, &ticket, "alice").await;
    assert_eq!(events.next().await.unwrap()["ticket"], ticket);
    events.until("reserved").await;
    stand.post(&ticket, "alice", State::Pending);
    assert!(events.until("ordered").await["payByMs"].is_u64());
    stand.post(&ticket, "alice", State::Paid);
    assert!(events.until("paid").await["payByMs"].is_null());
    assert_eq!(events.next().await, None);
}

#[tokio::test]
async fn while_waiting_there_is_an_event_each_second() {
    let stand = Stand::start(Setup::default()).await;
    let ticket = stand.buy("alice").await.ticket().to_owned();
    let mut events = Events::of(&stand, &ticket, "alice").await;
    events.until("reserved").await;
    let before = std::time::Instant::now();
    for _ in 0..3 {
        assert_eq!(events.next().await.unwrap()["state"], "reserved");
    }
    let took = before.elapsed().as_millis();
    assert!((1_900..6_000).contains(&took), "{took} ms");
}

#[tokio::test]
async fn a_stream_of_a_final_ticket_has_one_event() {
    let stand = Stand::start(Setup::default()).await;
    let ticket = stand.buy("alice").await.ticket().to_owned();
    stand.post(&ticket, "alice", State::Paid);
    let mut events = Events::of(&stand, &ticket, "alice").await;
    assert_eq!(events.next().await.unwrap()["state"], "paid");
    assert_eq!(events.next().await, None);
}

#[tokio::test]
async fn streams_are_bounded_and_a_closed_one_makes_room() {
    let mut setup = Setup::default();
    setup.options.limits.event_streams_max = 1;
    let stand = Stand::start(setup).await;
    let ticket = stand.buy("alice").await.ticket().to_owned();
    let mut first = Events::of(&stand, &ticket, "alice").await;
    first.next().await;
    let path = format!("/v1/tickets/{ticket}/events");
    assert_eq!(stand.get(&path, "alice").await.problem(), (503, "busy"));
    drop(first);
    let freed = async {
        while stand
            .call(Method::GET, &path, "alice")
            .send()
            .await
            .unwrap()
            .status()
            != 200
        {
            // The limit of one buyer is twenty requests a second.
            tokio::time::sleep(std::time::Duration::from_millis(60)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(10), freed)
        .await
        .expect("room again");
}
