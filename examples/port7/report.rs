//! What the server counts, and how it is shown: a status line each second, totals at the end.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use event_channel::runtime::Metrics;
use event_channel::time;

use crate::clients::Tally;

const SECOND: Duration = Duration::from_secs(1);

/// A number that tasks on any thread add to.
#[derive(Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds `n`.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// The sum so far.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What the server has done since its start.
#[derive(Default)]
pub struct Totals {
    accepted: Counter,
    closed: Counter,
    /// Bytes echoed, TCP and UDP.
    pub bytes: Counter,
    /// Datagrams echoed.
    pub datagrams: Counter,
    /// Connections that broke, datagrams that could not be echoed.
    pub failed: Counter,
    /// Times the system had no room for a connection.
    pub refused: Counter,
}

/// Counts a connection as open until it is dropped.
pub struct OpenConnection(Arc<Totals>);

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.closed.add(1);
    }
}

impl Totals {
    /// Counts one connection, open until the result is dropped.
    pub fn open_connection(self: &Arc<Self>) -> OpenConnection {
        self.accepted.add(1);
        OpenConnection(Arc::clone(self))
    }

    fn open(&self) -> u64 {
        let closed = self.closed.get();
        self.accepted.get().saturating_sub(closed)
    }

    /// Waits until no connection is open, but not for longer than `patience`.
    pub fn wait_until_idle(&self, patience: Duration) {
        let end = Instant::now() + patience;
        while self.open() > 0 && Instant::now() < end {
            time::sleep(Duration::from_millis(10));
        }
    }

    /// Prints what the server has done.
    pub fn summary(&self) {
        say(format_args!(
            "total: {} connections, {} datagrams, {} bytes echoed, {} failed, {} refused",
            self.accepted.get(),
            self.datagrams.get(),
            self.bytes.get(),
            self.failed.get(),
            self.refused.get(),
        ));
    }
}

/// The status line of the server that runs without clients of its own.
pub fn server_status(totals: Arc<Totals>) -> impl FnMut(Duration) -> String + Send + 'static {
    let (mut bytes, mut datagrams) = (0, 0);
    move |running| {
        let bytes_before = std::mem::replace(&mut bytes, totals.bytes.get());
        let datagrams_before = std::mem::replace(&mut datagrams, totals.datagrams.get());
        format!(
            "{:>5} s  {} open of {} connections  {:.1} MB/s  {} datagrams/s  {} failed",
            running.as_secs(),
            totals.open(),
            totals.accepted.get(),
            (bytes - bytes_before) as f64 / 1e6,
            datagrams - datagrams_before,
            totals.failed.get(),
        )
    }
}

/// Shows a line each second: redrawn in place on a terminal, one after the other elsewhere.
///
/// It has a thread of its own, because whoever reads our output slowly shall not slow down a
/// worker and with it the tasks.
pub struct StatusLine {
    end: mpsc::Sender<()>,
    thread: JoinHandle<()>,
}

impl StatusLine {
    /// Starts it; `line` is asked each second, with the time since the start.
    pub fn start(mut line: impl FnMut(Duration) -> String + Send + 'static) -> Self {
        let (end, ended) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            let in_place = io::stdout().is_terminal();
            let start = Instant::now();
            let mut next = start + SECOND;
            loop {
                let left = next.saturating_duration_since(Instant::now());
                let goes_on = ended.recv_timeout(left) == Err(RecvTimeoutError::Timeout);
                // A last second that is nearly over is shown as well.
                if goes_on || next.saturating_duration_since(Instant::now()) < SECOND / 4 {
                    show(&line(next - start), in_place);
                }
                if !goes_on {
                    break;
                }
                next += SECOND;
            }
            if in_place {
                say("");
            }
        });
        Self { end, thread }
    }

    /// Ends it; what is printed from now on begins on a line of its own.
    pub fn stop(self) {
        drop(self.end);
        let _ = self.thread.join();
    }
}

fn show(line: &str, in_place: bool) {
    if in_place {
        let mut out = io::stdout();
        let _ = write!(out, "\r\x1b[K{line}");
        let _ = out.flush();
    } else {
        say(line);
    }
}

/// Prints a line. Unlike with `println!`, an output that nobody reads any more does not end the program.
pub fn say(line: impl Display) {
    let _ = writeln!(io::stdout(), "{line}");
}

/// Prints what a demo has done; false if something was lost. `after` is what the runtime counted
/// until it was shut down: by then whatever was posted has to have come back.
pub fn demo_summary(tally: &Tally, threads: usize, after: &Metrics) -> bool {
    let (tcp, udp, lost) = (tally.tcp.get(), tally.udp.get(), tally.lost.get());
    let events_lost = after.events_posted.saturating_sub(after.events_completed);
    say(format_args!("messages {} echoed ({tcp} TCP, {udp} UDP), {lost} lost", tcp + udp));
    say(format_args!("tasks    {}", after.tasks_spawned));
    say(format_args!("steals   {}", after.steals));
    say(format_args!("threads  {threads}"));
    say(format_args!(
        "events   {} posted, {} completed, lost {events_lost}",
        after.events_posted, after.events_completed,
    ));
    if lost + events_lost > 0 {
        say("Something was lost: this must not happen.");
    }
    lost + events_lost == 0
}
