//! Calls as a buyer's program makes them.

use crate::stand::{PHONE, Stand};
use reqwest::{Method, RequestBuilder, Response};
use serde_json::{Value, json};

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub body: Value,
}

impl Answer {
    pub async fn of(request: RequestBuilder) -> Self {
        Self::read(request.send().await.expect("an answer")).await
    }

    async fn read(response: Response) -> Self {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let bytes = response.bytes().await.expect("a whole body");
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        Self {
            status,
            headers,
            body,
        }
    }

    /// The status, and the last part of the problem's type.
    pub fn problem(&self) -> (u16, &str) {
        let kind = self.body["type"].as_str().unwrap_or("(no problem)");
        assert!(
            self.header("content-type") == "application/problem+json",
            "{self:?}"
        );
        assert_eq!(self.body["status"], self.status, "{self:?}");
        (
            self.status,
            kind.trim_start_matches("https://flashsale.dev/problems/"),
        )
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |v| v.to_str().expect("text"))
    }

    pub fn ticket(&self) -> &str {
        self.body["ticket"]
            .as_str()
            .unwrap_or_else(|| panic!("no ticket: {self:?}"))
    }
}

impl Stand {
    pub fn call(&self, method: Method, path: &str, buyer: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.base));
        if buyer.is_empty() {
            request
        } else {
            request.header("X-Buyer-Id", buyer)
        }
    }

    pub async fn get(&self, path: &str, buyer: &str) -> Answer {
        Answer::of(self.call(Method::GET, path, buyer)).await
    }

    pub fn purchase(&self, buyer: &str, item: &str, quantity: u32) -> RequestBuilder {
        self.call(Method::POST, "/v1/sales/phone-launch/purchases", buyer)
            .json(&json!({ "item": item, "quantity": quantity }))
    }

    pub async fn buy(&self, buyer: &str) -> Answer {
        Answer::of(self.purchase(buyer, PHONE, 1)).await
    }

    pub async fn post_body(&self, path: &str, buyer: &str, body: &str) -> Answer {
        Answer::of(self.call(Method::POST, path, buyer).body(body.to_owned())).await
    }
}
