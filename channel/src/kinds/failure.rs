//! What went wrong with a request, in words.

use super::EventKind;
use crate::events::event::Event;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io;

/// What went wrong with a request, in words: see [`Event::failure`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    kind: EventKind,
    role: Option<&'static str>,
    names: Vec<OsString>,
    errno: i32,
}

impl Failure {
    /// What was asked for.
    pub fn kind(&self) -> EventKind {
        self.kind
    }

    /// What that was to the request which it was about, if it was not about [names](Self::names). One of these:
    ///
    /// * `socket`, `listener`, `file`, `descriptor`: its descriptor;
    /// * `descriptors`: one of both, of a splice or tee; it is not known which;
    /// * `input`, `output`: that side of a pump (none, if it was given up while both were well);
    /// * `process`: that whose end was waited for;
    /// * `word`: the word in memory.
    ///
    /// `None`: there was no such thing, as for a timer.
    pub fn role(&self) -> Option<&'static str> {
        self.role
    }

    /// The files that the request named, as they were given: see [`Event::names`].
    pub fn names(&self) -> &[OsString] {
        &self.names
    }

    /// The number of the error (`ECANCELED`: it was cancelled; `ETIME`: its time limit came first).
    pub fn errno(&self) -> i32 {
        self.errno
    }
}

/// The operation, what it was on or of, and the reason. Names are quoted, and what is not UTF-8 in them is escaped.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.kind)?;
        if let Some(role) = self.role {
            write!(f, " on its {role}")?;
        }
        for (at, name) in self.names.iter().enumerate() {
            write!(f, "{} {name:?}", if at == 0 { " of" } else { "," })?;
        }
        match self.errno {
            libc::ETIME => write!(f, ": the request's time limit came first"),
            libc::ECANCELED => write!(f, ": the request was cancelled"),
            errno => write!(f, ": {}", io::Error::from_raw_os_error(errno)),
        }
    }
}

impl std::error::Error for Failure {}

impl Event {
    /// The error that [`result`](Self::result) gives, with what it was about. `None`: all went well.
    ///
    /// ```
    /// # use ec_channel::{EventChannel, OpenOptions, Request};
    /// let channel = EventChannel::new()?;
    /// let (near, far) = std::os::unix::net::UnixStream::pair()?;
    /// drop(far);
    /// channel.post(Request::send(near, b"nobody hears".to_vec()))?;
    /// let failure = channel.get_event()?.failure().unwrap();
    /// assert_eq!(failure.to_string(), "send on its socket: Broken pipe (os error 32)");
    ///
    /// channel.post(Request::open("/no/such file", OpenOptions::new().read(true)))?;
    /// let failure = channel.get_event()?.failure().unwrap();
    /// assert_eq!(failure.to_string(), r#"open of "/no/such file": No such file or directory (os error 2)"#);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn failure(&self) -> Option<Failure> {
        let errno = -self.0.result();
        let role = self.0.body().and_then(|body| body.own.role());
        let names = || self.names().into_iter().map(OsStr::to_owned).collect();
        (errno > 0).then(|| Failure { kind: self.kind(), role, names: names(), errno })
    }

    /// The files that its request named, as they were given, in the order of its arguments: the path of an [`open`](crate::Request::open),
    /// both of a [`rename`](crate::Request::rename), the path and the attribute's name of a [`get_xattr`](crate::Request::get_xattr). None where
    /// the kind has none. (An [`OsStr`] is as good as a [`Path`](std::path::Path) wherever one is asked for.)
    ///
    /// ```
    /// # use ec_channel::{EventChannel, Request};
    /// let channel = EventChannel::new()?;
    /// channel.post(Request::stat("Cargo.toml"))?;
    /// let event = channel.get_event()?;
    /// assert_eq!(event.names(), ["Cargo.toml"]);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn names(&self) -> Vec<&OsStr> {
        self.0.names()
    }
}
