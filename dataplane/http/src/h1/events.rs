//! Server-sent events over HTTP/1.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_core::Stream;

use super::replies::Asked;
use crate::response::Framing;

/// Events collected before they are sent.
const BATCH_BYTES: usize = 16 * 1024;

/// A stream of events that is being answered with.
pub(crate) struct Events {
    stream: Pin<Box<dyn Stream<Item = Bytes>>>,
    /// Whether items are sent as chunks, so that the connection can be used again; else its end is theirs.
    chunks: bool,
}

impl Events {
    /// Writes the head of the answer; the events follow unless it answers a `HEAD`.
    pub(crate) fn begin(
        stream: Pin<Box<dyn Stream<Item = Bytes>>>,
        asked: Asked,
        framing: &Framing<'_>,
        output: &mut Vec<u8>,
    ) -> Option<Self> {
        output.extend_from_slice(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: no-store\r\nx-accel-buffering: no\r\n",
        );
        if asked.chunks {
            output.extend_from_slice(b"transfer-encoding: chunked\r\n");
        }
        framing.end_head(output);
        (!asked.head_only).then_some(Events {
            stream,
            chunks: asked.chunks,
        })
    }

    /// Collects what there is now. Ready when the stream has ended; says then nothing more is to come.
    pub(crate) fn poll_collect(&mut self, cx: &mut Context<'_>, output: &mut Vec<u8>) -> Poll<()> {
        while output.len() < BATCH_BYTES {
            match self.stream.as_mut().poll_next(cx) {
                // An empty chunk would end the answer.
                Poll::Ready(Some(item)) if item.is_empty() => {}
                Poll::Ready(Some(item)) => self.write(&item, output),
                Poll::Ready(None) => {
                    self.end(output);
                    return Poll::Ready(());
                }
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Pending
    }

    fn write(&self, item: &[u8], output: &mut Vec<u8>) {
        if !self.chunks {
            output.extend_from_slice(item);
            return;
        }
        // Sixteen digits are enough for any length; leading zeros are allowed but wasteful.
        let digits = (usize::BITS - item.len().leading_zeros()).div_ceil(4).max(1);
        for at in (0..digits).rev() {
            output.push(b"0123456789abcdef"[(item.len() >> (at * 4)) & 15]);
        }
        output.extend_from_slice(b"\r\n");
        output.extend_from_slice(item);
        output.extend_from_slice(b"\r\n");
    }

    /// Writes what ends the answer.
    pub(crate) fn end(&self, output: &mut Vec<u8>) {
        if self.chunks {
            output.extend_from_slice(b"0\r\n\r\n");
        }
    }

    /// Whether the end of the answer is the end of the connection.
    pub(crate) fn ends_connection(&self) -> bool {
        !self.chunks
    }
}
