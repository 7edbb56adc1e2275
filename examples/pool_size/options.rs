//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;

use lexopt::prelude::*;

/// Where the picture goes by default.
pub const OUT: &str = "target/pool_size.svg";

/// What `--help` prints.
pub const HELP: &str = "\
pool_size draws how the number of the pool's threads follows the load.

Usage: pool_size [--out FILE] [--seconds SECS]

  --out FILE      the picture, an SVG (default: target/pool_size.svg)
  --seconds SECS  how long all of it takes, 2 to 600 (default: 12)
  --help          this text

EVENT_CHANNEL_DRIVER=io_uring, epoll or poll chooses the driver; otherwise the best
that the system has is taken.";

/// What the program was asked to do.
pub enum Command {
    /// Run the load and draw.
    Draw(Options),
    /// Print the help text.
    Help,
}

/// What to draw, and where.
pub struct Options {
    /// The picture.
    pub out: PathBuf,
    /// How long the load lasts.
    pub seconds: f64,
}

/// Reads the arguments, of which the first is the program's name.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Command, lexopt::Error> {
    let mut options = Options { out: PathBuf::from(OUT), seconds: crate::SECONDS };
    let mut parser = lexopt::Parser::from_iter(arguments);
    while let Some(argument) = parser.next()? {
        match argument {
            Long("out") => options.out = parser.value()?.into(),
            Long("seconds") => options.seconds = parser.value()?.parse_with(seconds)?,
            Long("help") | Short('h') => return Ok(Command::Help),
            _ => return Err(argument.unexpected()),
        }
    }
    Ok(Command::Draw(options))
}

fn seconds(text: &str) -> Result<f64, &'static str> {
    match text.parse() {
        Ok(number) if (2.0..=600.0).contains(&number) => Ok(number),
        _ => Err("a number of seconds from 2 to 600 is needed"),
    }
}
