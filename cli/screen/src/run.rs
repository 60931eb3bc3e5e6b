//! Showing a sale until it is over or the person has seen enough.

use std::io::{self, IsTerminal as _, Write};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::{Duration, Instant};

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};

use crate::crowd::CrowdProgress;
use crate::live::Live;
use crate::plain::PlainLines;
use crate::trend::Trend;
use crate::view::{Theme, draw};

/// Between two looks.
const LOOK: Duration = Duration::from_millis(250);
/// A key or the end is noticed within this time.
const NOTICE: Duration = Duration::from_millis(50);

/// How to show.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Lines instead of a view, even on a terminal.
    pub plain: bool,
}

/// One look at the sale and, if there is one, at the crowd.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// The sale.
    pub live: Live,
    /// The simulated buyers.
    pub crowd: Option<CrowdProgress>,
}

/// Why showing ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// The person pressed q or Ctrl-C, or nobody reads the output any more.
    Quit,
    /// `stop` was set.
    Stopped,
}

/// Shows the sale until `stop` is set or the person leaves. Blocks; give it a thread of its own. `source` is asked
/// four times a second; `None` means there is nothing to see yet.
///
/// On a terminal this takes over the screen, and gives it back in every case, a panic included. While it does,
/// Ctrl-C arrives here as a key and not as a signal. Without a terminal (or with [`Options::plain`]) it writes lines.
///
/// # Errors
/// Those of the terminal or the output.
pub fn run(
    options: Options,
    source: impl FnMut() -> Option<Snapshot>,
    stop: &AtomicBool,
) -> io::Result<Left> {
    if options.plain || !io::stdout().is_terminal() || !io::stdin().is_terminal() {
        return lines(source, stop, &mut io::stdout());
    }
    let mut terminal = ratatui::try_init()?;
    let left = watch(&mut terminal, source, stop);
    ratatui::restore();
    left
}

fn watch(
    terminal: &mut DefaultTerminal,
    mut source: impl FnMut() -> Option<Snapshot>,
    stop: &AtomicBool,
) -> io::Result<Left> {
    let theme = Theme::from_env();
    let mut trend = Trend::default();
    let mut snapshot = None;
    let mut next = Instant::now();
    loop {
        if Instant::now() >= next {
            next = Instant::now() + LOOK;
            snapshot = source().or(snapshot);
            if let Some(snapshot) = &snapshot {
                trend.add(&snapshot.live);
            }
            terminal.draw(|frame| draw(frame, snapshot.as_ref(), &trend, theme))?;
        }
        if stop.load(SeqCst) {
            return Ok(Left::Stopped);
        }
        if event::poll(NOTICE)? {
            match event::read()? {
                Event::Key(key) if key.kind == KeyEventKind::Press => {
                    let ctrl_c =
                        key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL);
                    if ctrl_c || matches!(key.code, KeyCode::Char('q' | 'Q') | KeyCode::Esc) {
                        return Ok(Left::Quit);
                    }
                }
                Event::Resize(..) => next = Instant::now(),
                _ => {}
            }
        }
    }
}

fn lines(
    mut source: impl FnMut() -> Option<Snapshot>,
    stop: &AtomicBool,
    out: &mut impl Write,
) -> io::Result<Left> {
    let mut plain = PlainLines::default();
    let mut next = Instant::now();
    loop {
        // The flag is read first, so that the last look is one after the end.
        let stopped = stop.load(SeqCst);
        if stopped || Instant::now() >= next {
            next = Instant::now() + LOOK;
            let line = source().and_then(|s| plain.next(&s.live, s.crowd.as_ref()));
            if let Some(line) = line {
                match writeln!(out, "{line}").and_then(|()| out.flush()) {
                    Err(e) if e.kind() == io::ErrorKind::BrokenPipe => return Ok(Left::Quit),
                    written => written?,
                }
            }
        }
        if stopped {
            return Ok(Left::Stopped);
        }
        std::thread::sleep(NOTICE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(phase: &str, now_ms: u64) -> Snapshot {
        Snapshot {
            live: Live {
                phase: phase.to_owned(),
                now_ms,
                ..Live::default()
            },
            crowd: None,
        }
    }

    #[test]
    fn without_a_terminal_each_phase_is_a_line_and_the_last_look_is_shown() {
        let stop = AtomicBool::new(false);
        let mut looks = 0;
        let source = || {
            looks += 1;
            stop.store(looks >= 2, SeqCst);
            Some(snapshot(["Armed", "Open", "Settled"][looks - 1], 5_000))
        };
        let mut out = Vec::new();
        assert_eq!(lines(source, &stop, &mut out).unwrap(), Left::Stopped);
        let text = String::from_utf8(out).unwrap();
        let phases: Vec<&str> = text.lines().filter_map(|l| l.split(' ').nth(1)).collect();
        assert_eq!(phases, ["Armed", "Open", "Settled"]);
    }

    #[test]
    fn a_closed_pipe_ends_it_without_an_error() {
        struct Closed;
        impl Write for Closed {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let stop = AtomicBool::new(false);
        assert_eq!(
            lines(|| Some(snapshot("Open", 1)), &stop, &mut Closed).unwrap(),
            Left::Quit
        );
    }
}
