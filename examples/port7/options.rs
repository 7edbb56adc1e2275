//! The command line, and how many descriptors the system grants.

use std::ffi::OsString;
use std::time::Duration;

use lexopt::prelude::*;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// What `--help` prints.
pub const HELP: &str = "\
port7 echoes what it receives, on TCP and UDP, on one port.

Usage: port7 [--listen ADDR] [--demo SECS]

  --listen ADDR  address and port, such as 127.0.0.1:7007 or [::1]:0
                 (default: 127.0.0.1 and a port of the system's choice)
  --demo SECS    run clients against itself for so many seconds, check what
                 comes back, print what was counted and end
  --help         this text

Without --demo it serves until SIGINT (Ctrl-C) or SIGTERM.
EVENT_CHANNEL_DRIVER=io_uring, epoll or poll chooses the driver; otherwise the best
that the system has is taken.";

/// What the program was asked to do.
pub enum Command {
    /// Serve, with or without clients of its own.
    Serve(Options),
    /// Print the help text.
    Help,
}

/// How to serve.
pub struct Options {
    /// The address to listen on.
    pub listen: String,
    /// For how long to run clients against it; for ever and without clients if none.
    pub demo: Option<Duration>,
}

/// Reads the arguments, of which the first is the program's name.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Command, lexopt::Error> {
    let mut options = Options { listen: "127.0.0.1:0".to_owned(), demo: None };
    let mut parser = lexopt::Parser::from_iter(arguments);
    while let Some(argument) = parser.next()? {
        match argument {
            Long("listen") => options.listen = parser.value()?.string()?,
            Long("demo") => options.demo = Some(parser.value()?.parse_with(seconds)?),
            Long("help") | Short('h') => return Ok(Command::Help),
            _ => return Err(argument.unexpected()),
        }
    }
    Ok(Command::Serve(options))
}

fn seconds(text: &str) -> Result<Duration, &'static str> {
    match text.parse::<u32>() {
        Ok(number) if (1..=86_400).contains(&number) => Ok(Duration::from_secs(number.into())),
        _ => Err("a whole number of seconds from 1 to 86400 is needed"),
    }
}

/// Raises the limit on open descriptors as far as the system allows and returns it.
pub fn raise_descriptor_limit() -> u64 {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return 1024 };
    match setrlimit(Resource::RLIMIT_NOFILE, hard, hard) {
        Ok(()) => hard,
        Err(_) => soft,
    }
}
