//! A child process whose output is read as it comes, and which does not outlive its test.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;

/// How long a child process may be silent when something is expected of it.
const SILENCE: Duration = Duration::from_secs(20);

/// How long it may take to end. Less than the limits of the tests, which would leave it running.
const LIFE: Duration = Duration::from_secs(100);

/// A child process; killed if it is dropped before its end.
pub struct Running {
    child: Child,
    out: Receiver<String>,
    err: Receiver<String>,
}

/// How a child process ended and what it wrote after what had been read before.
#[derive(Debug)]
pub struct End {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Running {
    pub fn start(command: &mut Command) -> Self {
        let piped = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = piped.spawn().unwrap();
        let out = lines_of(child.stdout.take().unwrap());
        let err = lines_of(child.stderr.take().unwrap());
        Self { child, out, err }
    }

    /// The address in the server's first line.
    pub fn address(&self) -> String {
        let line = self.out.recv_timeout(SILENCE).expect("a first line");
        let (_, rest) = line.split_once(" on ").unwrap_or_else(|| panic!("no address in {line:?}"));
        rest.split(',').next().unwrap().to_owned()
    }

    /// The next line of the standard error output.
    pub fn error_line(&self) -> String {
        self.err.recv_timeout(SILENCE).expect("a line on stderr")
    }

    pub fn signal(&self, signal: Signal) {
        let id = Pid::from_raw(self.child.id().try_into().unwrap());
        signal::kill(id, signal).unwrap();
    }

    /// Waits for the end.
    pub fn end(mut self) -> End {
        let deadline = Instant::now() + LIFE;
        let code = loop {
            match self.child.try_wait().unwrap() {
                Some(status) => break status.code(),
                None if Instant::now() < deadline => thread::sleep(Duration::from_millis(10)),
                None => panic!("did not end: {:?} {:?}", so_far(&self.out), so_far(&self.err)),
            }
        };
        End { code, out: rest(&self.out), err: rest(&self.err) }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Fails if it has ended, which is the usual case.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn so_far(lines: &Receiver<String>) -> Vec<String> {
    lines.try_iter().collect()
}

fn rest(lines: &Receiver<String>) -> String {
    lines.iter().fold(String::new(), |all, line| all + &line + "\n")
}

fn lines_of(pipe: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}
