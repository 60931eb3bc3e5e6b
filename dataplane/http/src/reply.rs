//! What a service is and what it may answer.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use futures_core::Stream;

use crate::{Prepared, Request, Response};

/// Answers requests. Each thread has its own, which never leaves that thread.
pub trait Service: 'static {
    /// Answers one request.
    ///
    /// It must not block: what takes time goes into a [`Reply::Later`], with everything it needs moved into it,
    /// as the request itself is gone once this returns.
    fn call(&self, request: &Request<'_>) -> Reply;
}

impl<F: Fn(&Request<'_>) -> Reply + 'static> Service for F {
    fn call(&self, request: &Request<'_>) -> Reply {
        self(request)
    }
}

/// An answer, or the promise of one.
pub enum Reply {
    /// An answer rendered ahead that lives as long as the process.
    Static(&'static Prepared),
    /// An answer rendered ahead. Give each thread its own `Arc` where they all answer at full speed.
    Prepared(Arc<Prepared>),
    /// An answer made for this request.
    Full(Response),
    /// The answer comes from a future that runs on this thread. It is dropped when the connection is, but a client
    /// that has only ended its own side still gets the answer, so it may as well run to its end.
    Later(Pin<Box<dyn Future<Output = Reply>>>),
    /// Server-sent events: 200 `text/event-stream`, then each item of the stream as it comes. An item must hold
    /// whole events, each ended by an empty line. The stream is not asked while the client doesn't read.
    Events(Pin<Box<dyn Stream<Item = Bytes>>>),
}

impl Reply {
    /// An answer that a future will give. The future may end in any reply, events too.
    pub fn later<R: Into<Reply>>(future: impl Future<Output = R> + 'static) -> Reply {
        Reply::Later(Box::pin(async move { future.await.into() }))
    }

    /// Server-sent events; see [`Reply::Events`].
    pub fn events(stream: impl Stream<Item = Bytes> + 'static) -> Reply {
        Reply::Events(Box::pin(stream))
    }
}

impl From<Response> for Reply {
    fn from(response: Response) -> Self {
        Reply::Full(response)
    }
}

impl From<Arc<Prepared>> for Reply {
    fn from(prepared: Arc<Prepared>) -> Self {
        Reply::Prepared(prepared)
    }
}

impl From<&'static Prepared> for Reply {
    fn from(prepared: &'static Prepared) -> Self {
        Reply::Static(prepared)
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reply::Static(prepared) => f.debug_tuple("Static").field(prepared).finish(),
            Reply::Prepared(prepared) => f.debug_tuple("Prepared").field(prepared).finish(),
            Reply::Full(response) => f.debug_tuple("Full").field(response).finish(),
            Reply::Later(_) => f.write_str("Later"),
            Reply::Events(_) => f.write_str("Events"),
        }
    }
}
