//! Payments: what the provider reports, and in development what a buyer plays.

use super::cancel::DESK_ANSWER_MAX;
use super::identity::NotKnown;
use super::problem::{Problem, with_api_headers};
use super::purchase::invalid_body;
use super::thread::{Arrival, Thread};
use super::ticket::Standing;
use crate::desk::{Payment, PaymentOutcome};
use crate::signature;
use flashsale_core::ids::Millis;
use flashsale_core::ticket::Shown;
use flashsale_crds::{Currency, Money};
use flashsale_http::{Reply, Request, Response, StatusCode};
use serde::Deserialize;
use serde_json::json;
use std::rc::Rc;

/// Bytes of a payment id.
const ID_BYTES_MAX: usize = 128;
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Report {
    payment_id: String,
    order_id: String,
    amount: String,
    currency: String,
}

impl Thread {
    pub(super) fn payment_callback(self: &Rc<Self>, request: &Request<'_>, arrival: &Arrival) -> Reply {
        let payment = self
            .check_signature(request, arrival.ms)
            .and_then(|()| parse(request.body));
        let payment = match payment {
            Ok(payment) => payment,
            Err(problem) => return self.answers.refuse(&problem),
        };
        let thread = self.clone();
        Reply::later(async move {
            match thread.pay(payment.clone()).await {
                Ok(result) => {
                    let body = json!({
                        "paymentId": payment.payment_id, "orderId": payment.order_id, "result": result,
                    });
                    with_api_headers(Response::json(StatusCode::OK, body.to_string())).into()
                }
                Err(problem) => thread.answers.refuse(&problem),
            }
        })
    }

    fn check_signature(&self, request: &Request<'_>, now: Millis) -> Result<(), Problem> {
        let header = request.headers.get_once(signature::HEADER).ok().flatten();
        let header =
            header
                .and_then(|value| std::str::from_utf8(value).ok())
                .ok_or(Problem::ForgedSignature(
                    "Send Flashsale-Signature: t=<unix seconds>,v1=<hex> once.",
                ))?;
        let secret = self.all.options.payment_secret.expose();
        if signature::verify(secret, now / 1000, header, request.body) {
            Ok(())
        } else {
            Err(Problem::ForgedSignature(
                "The signature is not that of this body, or older than five minutes.",
            ))
        }
    }

    /// Reports a payment; the word for what became of it.
    async fn pay(&self, payment: Payment) -> Result<&'static str, Problem> {
        let outcome = tokio::time::timeout(DESK_ANSWER_MAX, self.all.desk.pay(payment)).await;
        // Reported again it has the same effect, so whoever reports need not know which of the two it was.
        match outcome
            .map_err(|_| Problem::OutcomeUnknown)?
            .map_err(|_| Problem::Busy)?
        {
            PaymentOutcome::Paid => Ok("paid"),
            PaymentOutcome::RefundDue => Ok("refundDue"),
            PaymentOutcome::UnknownOrder => Err(Problem::UnknownOrder),
            PaymentOutcome::Conflict => Err(Problem::PaymentConflict),
            PaymentOutcome::WrongAmount { expected_minor } => {
                let currency = self.shared().sale.currency;
                let expected = Money::from_minor(expected_minor, currency);
                Err(Problem::WrongAmount {
                    expected: format!("{expected} {currency}"),
                })
            }
        }
    }

    pub(super) fn dev_pay(
        self: &Rc<Self>,
        text: &str,
        request: &Request<'_>,
        arrival: &Arrival,
    ) -> Result<Reply, NotKnown> {
        let held = self.held(text, &self.buyer(request, arrival)?)?;
        let ticket = held.ticket;
        let standing = Standing::of(&ticket, self.shared());
        match standing.shown {
            Shown::Queued | Shown::Reserved => {
                return Err(
                    Problem::NotPayable("The order isn't made yet; wait until the ticket says so.").into(),
                );
            }
            Shown::Lost => return Err(Problem::NotPayable("There is no order: nothing is owed.").into()),
            Shown::Paid => return Ok(self.ticket(StatusCode::OK, &held, standing)),
            Shown::Ordered | Shown::Closed(_) => {}
        }
        let item = &self.shared().sale.items[ticket.item.ix()];
        let order_id = self.shared().sale.order_id(ticket.shard, ticket.no);
        let amount = item
            .price
            .checked_mul(u32::from(ticket.quantity))
            .unwrap_or(item.price);
        let payment = Payment {
            payment_id: format!("dev-{order_id}"),
            order_id,
            amount_minor: amount.minor(),
            currency: amount.currency().code().to_owned(),
        };
        let thread = self.clone();
        Ok(Reply::later(async move {
            match thread.pay(payment).await {
                Ok(result) => {
                    let now = Standing::of(&held.ticket, thread.shared());
                    let shown = if result == "paid" { Shown::Paid } else { now.shown };
                    thread.ticket(StatusCode::OK, &held, Standing { shown, ..now })
                }
                Err(problem) => thread.answers.refuse(&problem),
            }
        }))
    }
}

fn parse(body: &[u8]) -> Result<Payment, Problem> {
    let report: Report = serde_json::from_slice(body).map_err(|e| invalid_body(&e))?;
    let invalid =
        |field: &str, why: String| Problem::InvalidRequest(format!("{field}: {why}; nothing was taken."));
    for (field, id) in [("paymentId", &report.payment_id), ("orderId", &report.order_id)] {
        if id.is_empty() || id.len() > ID_BYTES_MAX || !id.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(invalid(field, "1 to 128 visible ASCII characters".to_owned()));
        }
    }
    let currency: Currency = report
        .currency
        .parse()
        .map_err(|e| invalid("currency", format!("it {e}")))?;
    let amount = Money::parse(&report.amount, currency).map_err(|e| invalid("amount", format!("it {e}")))?;
    Ok(Payment {
        payment_id: report.payment_id,
        order_id: report.order_id,
        amount_minor: amount.minor(),
        currency: report.currency,
    })
}
