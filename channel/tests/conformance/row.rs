//! A kind's row of the table: how a request of it is made for each column, and what may come of it there.

use crate::observed::Got;
use ec_channel::{EventKind, Request};
use std::fmt;

/// What may come of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Done,
    /// With this errno.
    Failed(i32),
    Cancelled,
}

impl Outcome {
    pub fn of(got: &Got) -> Self {
        match got.result {
            Ok(_) => Outcome::Done,
            Err(libc::ECANCELED) => Outcome::Cancelled,
            Err(errno) => Outcome::Failed(errno),
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outcome::Done => f.write_str("done"),
            Outcome::Cancelled => f.write_str("cancelled"),
            Outcome::Failed(errno) => write!(f, "{}", std::io::Error::from_raw_os_error(*errno)),
        }
    }
}

type Check = Box<dyn FnOnce(&mut Got, Outcome) -> Result<(), String>>;

/// One request, and what is around it.
pub struct Scene {
    pub request: Request,
    /// What makes it complete, or fail.
    pub cause: Box<dyn FnOnce() + Send>,
    /// The kernel has begun what is asked for, where the cause would be in vain before that.
    pub begun: Box<dyn Fn() -> bool + Send + Sync>,
    /// The cause may come before the request.
    pub early: bool,
    /// Once the event is there and the cause is over: is the outcome true, and is nothing lost? An error says what is wrong.
    pub check: Check,
}

impl Scene {
    pub fn new(request: Request) -> Self {
        Scene {
            request,
            cause: Box::new(|| ()),
            begun: Box::new(|| true),
            early: true,
            check: Box::new(|_, _| Ok(())),
        }
    }

    pub fn begun(self, begun: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Scene { begun: Box::new(begun), ..self }
    }

    pub fn cause(self, cause: impl FnOnce() + Send + 'static) -> Self {
        Scene { cause: Box::new(cause), ..self }
    }

    /// The request has to be under way when the cause comes.
    pub fn late(self) -> Self {
        Scene { early: false, ..self }
    }

    pub fn check(self, check: impl FnOnce(&mut Got, Outcome) -> Result<(), String> + 'static) -> Self {
        Scene { check: Box::new(check), ..self }
    }

    /// Until the event is there.
    pub fn keeping(self, open: impl Sized + 'static) -> Self {
        let check = self.check;
        let check = move |got: &mut Got, outcome| {
            let _open = open;
            check(got, outcome)
        };
        Scene { check: Box::new(check), ..self }
    }
}

/// What may come of a scene: the same on each driver, and two outcomes at most. (Each has to be seen.)
#[derive(Clone, Copy)]
pub enum Cell {
    Can {
        make: fn() -> Scene,
        allowed: &'static [Outcome],
    },
    /// It does not happen to this kind, for this reason.
    Cannot(&'static str),
}

/// What is odd or wrong about a request, and exactly what it comes to: a number of bytes, or an errno.
pub struct Input {
    pub words: &'static str,
    pub make: fn() -> Scene,
    pub gives: Result<usize, i32>,
}

pub struct Row {
    pub kind: EventKind,
    /// Else a driver has nothing to do for it.
    pub on_descriptor: bool,
    pub completes: Cell,
    pub fails: Cell,
    /// Cancelled before anything has happened.
    pub cancelled: Cell,
    /// A cancel while it completes.
    pub races: Cell,
    /// It is in flight as the channel is shut down.
    pub shut_down: Cell,
    pub inputs: &'static [Input],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Column {
    Completes,
    Fails,
    Cancelled,
    Races,
    ShutDown,
}

impl Column {
    pub const ALL: [Column; 5] =
        [Column::Completes, Column::Fails, Column::Cancelled, Column::Races, Column::ShutDown];
}

impl Row {
    pub fn cell(&self, column: Column) -> Cell {
        match column {
            Column::Completes => self.completes,
            Column::Fails => self.fails,
            Column::Cancelled => self.cancelled,
            Column::Races => self.races,
            Column::ShutDown => self.shut_down,
        }
    }
}

/// An error for a check, if it is not so.
pub fn ensure(is_so: bool, words: impl FnOnce() -> String) -> Result<(), String> {
    if is_so { Ok(()) } else { Err(words()) }
}
