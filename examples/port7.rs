//! port7: an echo server on TCP and UDP, and clients to try it with.
//!
//! ```text
//! cargo run --release --example port7 -- --demo 5     five seconds of real clients against itself
//! cargo run --release --example port7                 serves until Ctrl-C
//! ```
//!
//! Every connection is served by a task that reads and writes as a thread would
//! (`port7/echo.rs`: start there). Where a call has to wait, the task is suspended and its
//! worker thread runs another one, so thousands of connections need no more threads than there
//! are CPUs. `port7/clients.rs` has the demo's clients, `port7/options.rs` the command line,
//! `port7/report.rs` what is counted and how it is shown.

#[path = "port7/clients.rs"]
mod clients;
#[path = "port7/echo.rs"]
mod echo;
#[path = "port7/options.rs"]
mod options;
#[path = "port7/report.rs"]
mod report;

use std::io;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use event_channel::sync::Notification;
use event_channel::{Runtime, task, time};

use clients::{Clients, Tally};
use options::{Command, Options};
use report::{StatusLine, Totals, say};

/// How long connections may take to end once the server is told to stop.
const GRACE: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    let options = match options::parse(std::env::args_os()) {
        Ok(Command::Serve(options)) => options,
        Ok(Command::Help) => {
            say(options::HELP);
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("port7: {error}\nport7 --help says what it takes.");
            return ExitCode::from(2);
        }
    };
    match port7(&options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("port7: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the whole program; false when something was lost.
fn port7(options: &Options) -> io::Result<bool> {
    let descriptors = options::raise_descriptor_limit();
    let runtime = Runtime::builder().build()?;
    let totals = Arc::new(Totals::default());

    // What is inside runs as a task, on the runtime's workers.
    let tally = runtime.run(|| serve(&runtime, options, descriptors, &totals))?;

    // Connections whose client is still there are told to end, and named if they do not.
    let threads = runtime.metrics().workers;
    if let Err(error) = runtime.shutdown(GRACE) {
        eprintln!("port7: {error}");
    }
    totals.summary();
    Ok(tally.is_none_or(|tally| report::demo_summary(&tally, threads, &runtime.metrics())))
}

/// Opens the port, serves it until it is told to stop, and gives back what the clients of a demo counted.
fn serve(
    runtime: &Runtime,
    options: &Options,
    descriptors: u64,
    totals: &Arc<Totals>,
) -> io::Result<Option<Arc<Tally>>> {
    let (listener, socket) = echo::bind(&options.listen)?;
    let address = listener.local_addr()?;
    let stop = Arc::new(Notification::new());
    stop_on_signal(Arc::clone(&stop))?;
    say(format_args!("port7 echoes TCP and UDP on {address}, driver {}", runtime.channel().driver()));

    let tcp = task::spawn({
        let totals = Arc::clone(totals);
        move || echo::accept(&listener, &totals)
    });
    let udp = task::spawn({
        let totals = Arc::clone(totals);
        move || echo::datagrams(&socket, &totals)
    });

    let clients = options.demo.map(|span| {
        // The demo ends as a signal would end it: by a notification, here from a task that sleeps.
        let stop = Arc::clone(&stop);
        task::spawn(move || {
            time::sleep(span);
            stop.post();
        });
        Clients::start(address, descriptors)
    });
    let status = match &clients {
        Some(clients) => StatusLine::start(clients.tally().status()),
        None => StatusLine::start(report::server_status(Arc::clone(totals))),
    };

    stop.wait();

    let tally = clients.map(|clients| {
        let tally = clients.finish();
        totals.wait_until_idle(GRACE);
        tally
    });
    status.stop();
    for server in [tcp, udp] {
        server.cancel();
        if server.join().is_err() {
            return Err(io::Error::other("a task of the server panicked"));
        }
    }
    Ok(tally)
}

/// SIGINT, SIGTERM and SIGHUP post `stop`; a second one ends the program at once.
fn stop_on_signal(stop: Arc<Notification>) -> io::Result<()> {
    let mut again = false;
    ctrlc::set_handler(move || {
        if std::mem::replace(&mut again, true) {
            std::process::exit(130);
        }
        stop.post();
    })
    .map_err(io::Error::other)
}
