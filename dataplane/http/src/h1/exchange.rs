//! From the bytes of requests to the bytes of answers.

use std::mem::MaybeUninit;

use super::chunked;
use super::connection::Connection;
use super::deadlines::Wait;
use super::events::Events;
use super::head::{self, BodyFraming, Head};
use super::replies::Asked;
use crate::problem::Refusal;
use crate::{Headers, Method, Reply, Request, Service, Version};

/// Whether a body is there.
enum Body<'a> {
    /// Its bytes, and how many the whole request takes on the wire.
    Whole(&'a [u8], usize),
    /// So many bytes must be there before it is worth another look.
    Missing(usize),
}

impl<S: Service> Connection<S> {
    /// Answers all whole requests at the beginning of `bytes`, or as many as may be taken now. Says how many bytes
    /// they were.
    pub(super) fn take_requests(&mut self, bytes: &[u8], body: &mut Vec<u8>, output: &mut Vec<u8>) -> usize {
        let mut at = 0;
        while self.can_take() && output.len() < self.seat.worker.limits.output_bytes {
            let rest = &bytes[at..];
            // Some clients send an empty line after a body.
            if rest.starts_with(b"\r\n") {
                at += 2;
                continue;
            }
            if rest.is_empty() {
                break;
            }
            match self.take_request(rest, body, output) {
                Ok(Some(len)) => at += len,
                Ok(None) => break,
                Err(refusal) => {
                    self.refuse_in_turn(refusal, output);
                    return bytes.len();
                }
            }
        }
        if self.taking { at } else { bytes.len() }
    }

    /// Answers the request at the beginning of `bytes`; nothing if it isn't whole.
    fn take_request(
        &mut self,
        bytes: &[u8],
        scratch: &mut Vec<u8>,
        output: &mut Vec<u8>,
    ) -> Result<Option<usize>, Refusal> {
        let mut lines = [const { MaybeUninit::uninit() }; crate::MAX_HEADERS];
        let Some(head) = head::parse(bytes, &mut lines, self.seat.worker.limits.head_bytes)? else {
            self.in_body = false;
            self.need = bytes.len() + 1;
            return Ok(None);
        };
        let (body, len) = match self.body(&head, bytes, scratch)? {
            Body::Whole(body, len) => (body, len),
            Body::Missing(need) => {
                self.in_body = true;
                self.need = need;
                // Only when it is this request's turn; it is looked at again when that comes.
                if head.expects_continue && !self.continued && self.replies.is_empty() {
                    self.continued = true;
                    output.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
                }
                return Ok(None);
            }
        };
        let worker = &self.seat.worker;
        worker.stats.requests_h1.add(1);
        let reply = self.service.call(&Request {
            method: head.method,
            path: head.path,
            query: head.query,
            headers: Headers::lines(head.headers),
            body,
            peer: self.peer,
            version: head.version,
        });
        let asked = Asked {
            head_only: head.method == Method::Head,
            close: !head.keep_alive || worker.draining.get(),
            chunks: head.version == Version::Http11,
        };
        self.need = 0;
        self.in_body = false;
        self.continued = false;
        self.wait = Wait::Anew;
        self.taking = !asked.close;
        self.answer(reply, asked, output);
        Ok(Some(len))
    }

    fn body<'a>(
        &self,
        head: &Head<'_, '_>,
        bytes: &'a [u8],
        scratch: &'a mut Vec<u8>,
    ) -> Result<Body<'a>, Refusal> {
        let limits = &self.seat.worker.limits;
        match head.framing {
            BodyFraming::Length(length) if length > limits.body_bytes => Err(Refusal::BodyTooLarge),
            BodyFraming::Length(length) => {
                let end = head.len + length;
                Ok(bytes
                    .get(head.len..end)
                    .map_or(Body::Missing(end), |body| Body::Whole(body, end)))
            }
            BodyFraming::Chunked => {
                let wire = &bytes[head.len..];
                let len = chunked::decode(wire, scratch, limits.body_bytes, limits.chunked_bytes())?;
                Ok(match len {
                    Some(len) => Body::Whole(scratch, head.len + len),
                    None => Body::Missing(bytes.len() + 1),
                })
            }
        }
    }

    /// Writes an answer at once, if it is there and its turn has come; else it waits in line.
    fn answer(&mut self, reply: Reply, asked: Asked, output: &mut Vec<u8>) {
        if self.replies.is_empty() && !matches!(reply, Reply::Later(_)) {
            self.write(reply, asked, output);
        } else {
            self.replies.push(reply, asked);
        }
    }

    /// Writes an answer that is not a promise.
    pub(super) fn write(&mut self, reply: Reply, asked: Asked, output: &mut Vec<u8>) {
        let close = asked.close || (matches!(reply, Reply::Events(_)) && !asked.chunks);
        self.taking &= !close;
        let mut events = None;
        self.seat
            .worker
            .framed(close, asked.head_only, |framing| match reply {
                Reply::Static(prepared) => prepared.write(output, framing),
                Reply::Prepared(prepared) => prepared.write(output, framing),
                Reply::Full(response) => response.write(output, framing),
                Reply::Events(stream) => events = Events::begin(stream, asked, framing, output),
                Reply::Later(_) => unreachable!("a promise is kept in line until it is an answer"),
            });
        self.events = events;
    }

    /// Refuses what was read and takes nothing more; earlier answers go out first.
    fn refuse_in_turn(&mut self, refusal: Refusal, output: &mut Vec<u8>) {
        self.seat.worker.stats.count(refusal);
        self.taking = false;
        self.in_body = false;
        self.need = 0;
        self.wait = Wait::Anew;
        let asked = Asked {
            head_only: false,
            close: true,
            chunks: true,
        };
        self.answer(refusal.response().into(), asked, output);
    }

    /// Refuses the request whose rest didn't come.
    pub(super) fn refuse(&mut self, refusal: Refusal) {
        self.seat.worker.stats.count(refusal);
        self.taking = false;
        self.wait = Wait::Anew;
        self.pending = Vec::new();
        self.replies.push(
            refusal.response().into(),
            Asked {
                head_only: false,
                close: true,
                chunks: true,
            },
        );
    }
}
