//! One thread of the crowd: its connections, its ticks, and the way of requests and answers between them.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::task::LocalSet;
use tokio::time::{sleep, sleep_until, timeout};

use crate::agent::Agent;
use crate::connection::Connection;
use crate::schedule::Step;

/// Between two looks at slow things (timeouts, patient buyers, the histogram).
const SLOW_NS: u64 = 20_000_000;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
const RECONNECT_MIN: Duration = Duration::from_millis(10);
const RECONNECT_MAX: Duration = Duration::from_millis(500);
/// Each connection reads into a buffer of this size.
const READ_BYTES: usize = 16 * 1024;

/// What the threads of a crowd share about its end.
#[derive(Default)]
pub(crate) struct Ending {
    /// Go home now.
    pub(crate) stop: AtomicBool,
    /// Threads with buyers left. All stay until it is 0, for one of them keeps the shared look at the sale.
    pub(crate) busy: AtomicUsize,
}

struct Driver {
    agent: Agent,
    connections: Vec<Connection>,
    /// The slot that is filled next.
    next: usize,
}

/// Runs the buyers of `agent` over `connections` connections until they have all gone home.
pub(crate) fn run(agent: Agent, connections: usize, ending: &Ending) -> std::io::Result<Agent> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let driver = Driver {
        agent,
        connections: (0..connections).map(|_| Connection::new()).collect(),
        next: 0,
    };
    let driver = Rc::new(RefCell::new(driver));
    let local = LocalSet::new();
    for slot in 0..connections {
        local.spawn_local(keep_connected(Rc::clone(&driver), slot));
    }
    local.block_on(&runtime, ticks(&driver, ending));
    // The tasks hold the driver; they end with their set.
    drop(local);
    let driver = Rc::into_inner(driver).map(RefCell::into_inner);
    let mut agent = driver
        .ok_or_else(|| std::io::Error::other("left a task behind that should have ended"))?
        .agent;
    agent.close();
    Ok(agent)
}

/// Lets time pass for the buyers until they are done, are told to stop, or have waited long enough.
async fn ticks(driver: &RefCell<Driver>, ending: &Ending) {
    let clock = driver.borrow().agent.clock;
    let give_up_ns = clock.opening_ns + driver.borrow().agent.config.give_up_after.as_nanos() as u64;
    let (mut slow_ns, mut was_busy) = (0, true);
    loop {
        let now_ns = clock.now_ns();
        let wake_ns = {
            let mut driver = driver.borrow_mut();
            driver.pump(now_ns);
            if now_ns >= slow_ns {
                slow_ns = now_ns + SLOW_NS;
                driver.break_off_silent(now_ns);
                driver.agent.tick(now_ns);
            }
            if was_busy && driver.agent.is_done() {
                was_busy = false;
                ending.busy.fetch_sub(1, SeqCst);
            }
            driver.wake_ns(now_ns)
        };
        if ending.busy.load(SeqCst) == 0 || ending.stop.load(SeqCst) || now_ns >= give_up_ns {
            return;
        }
        sleep_until(clock.deadline(wake_ns)).await;
    }
}

impl Driver {
    /// Puts everything that is due on connections, as far as there is room.
    fn pump(&mut self, now_ns: u64) {
        self.agent.release(now_ns);
        for take in [
            |a: &mut Agent| a.schedule.pop_ready(),
            |a: &mut Agent| a.schedule.pop_copy(),
        ] {
            for _ in 0..self.connections.len() {
                if !self.agent.schedule.has_ready() {
                    return;
                }
                let slot = self.next;
                self.next = (self.next + 1) % self.connections.len();
                self.fill(slot, take, now_ns);
            }
        }
    }

    /// Fills one connection; returns whether anything was put there.
    fn fill(&mut self, slot: usize, take: fn(&mut Agent) -> Option<Step>, now_ns: u64) -> bool {
        let connection = &mut self.connections[slot];
        let mut put = false;
        for _ in 0..connection.room(self.agent.config.pipeline) {
            let Some(step) = take(&mut self.agent) else { break };
            connection.put(step, &mut self.agent, now_ns);
            put = true;
        }
        if put {
            connection.flush();
        }
        put
    }

    /// Answers have come on a connection: hands them on and uses the room they left.
    fn take_in(&mut self, slot: usize, bytes: &[u8]) -> (usize, bool) {
        let now_ns = self.agent.clock.now_ns();
        let (answers, good) = self.connections[slot].take_in(bytes, &mut self.agent, now_ns);
        if good && self.connections[slot].room(self.agent.config.pipeline) > 0 {
            self.agent.release(now_ns);
            // Never both kinds at once: a copy is to take another connection than its original.
            if !self.fill(slot, |a| a.schedule.pop_ready(), now_ns) {
                self.fill(slot, |a| a.schedule.pop_copy(), now_ns);
            }
        }
        (answers, good)
    }

    fn break_off_silent(&mut self, now_ns: u64) {
        let patience = self.agent.config.request_timeout.as_nanos() as u64;
        for connection in &self.connections {
            if connection
                .oldest_ns()
                .is_some_and(|sent_ns| now_ns.saturating_sub(sent_ns) > patience)
            {
                connection.break_off();
            }
        }
    }

    fn wake_ns(&self, now_ns: u64) -> u64 {
        // The timer's grain is a millisecond anyway.
        if self.agent.schedule.has_ready() {
            return now_ns + 1_000_000;
        }
        self.agent
            .schedule
            .next_due()
            .unwrap_or(u64::MAX)
            .min(now_ns + SLOW_NS)
    }
}

/// Keeps one slot connected for as long as the crowd runs; asks for the address each time.
async fn keep_connected(driver: Rc<RefCell<Driver>>, slot: usize) {
    let config = std::sync::Arc::clone(&driver.borrow().agent.config);
    let mut pause = RECONNECT_MIN;
    loop {
        let answers = match config.address.now() {
            Some(address) => match timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => converse(&driver, slot, stream).await,
                _ => 0,
            },
            None => 0,
        };
        // Whoever takes connections but answers nothing is not to be asked in a hot loop.
        pause = if answers > 0 {
            RECONNECT_MIN
        } else {
            (pause * 2).min(RECONNECT_MAX)
        };
        sleep(pause).await;
    }
}

/// Uses a connection until it ends; returns how many answers came.
async fn converse(driver: &Rc<RefCell<Driver>>, slot: usize, stream: TcpStream) -> usize {
    // Without it requests would wait for acknowledgements; a socket that refuses it still works.
    let _ = stream.set_nodelay(true);
    let (mut from, to) = stream.into_split();
    let to = Rc::new(to);
    driver.borrow_mut().connections[slot].open(Rc::clone(&to));
    let writer = tokio::task::spawn_local(write_rest(Rc::clone(driver), slot, to));
    let mut buffer = vec![0; READ_BYTES];
    let mut answers = 0;
    while let Ok(n @ 1..) = from.read(&mut buffer).await {
        let (more, good) = driver.borrow_mut().take_in(slot, &buffer[..n]);
        answers += more;
        if !good {
            break;
        }
    }
    writer.abort();
    let mut driver = driver.borrow_mut();
    let driver = &mut *driver;
    let now_ns = driver.agent.clock.now_ns();
    driver.connections[slot].close(&mut driver.agent, now_ns);
    answers
}

/// Writes what the socket did not take at once.
async fn write_rest(driver: Rc<RefCell<Driver>>, slot: usize, to: Rc<OwnedWriteHalf>) {
    let stuck = Rc::clone(&driver.borrow().connections[slot].stuck);
    loop {
        stuck.notified().await;
        loop {
            if to.writable().await.is_err() {
                return;
            }
            if driver.borrow_mut().connections[slot].write_some() {
                break;
            }
        }
    }
}
