//! What a request may be on: whatever std opens, without a detour; and how to get at it again.

mod common;

use common::{all_drivers, room};
use ec_channel::{EventChannel, Request, Source};
use ec_test_support::{in_child, limit, went_well};
use ec_unkind as _;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};

fn each_driver(f: impl Fn(&EventChannel)) {
    for driver in all_drivers() {
        f(&EventChannel::builder().driver(driver).build().unwrap());
    }
}

/// What a read of it gives.
fn read(channel: &EventChannel, source: impl Into<Source>) -> Vec<u8> {
    channel.post(Request::read(source, room(64))).unwrap();
    let mut event = channel.get_event().unwrap();
    event.result().unwrap();
    event.take_buffer()
}

fn write(channel: &EventChannel, source: impl Into<Source>, words: &str) {
    channel.post(Request::write(source, words.into())).unwrap();
    assert_eq!(channel.get_event().unwrap().result().unwrap(), words.len());
}

#[test]
fn pipes_are_sources_and_are_closed_with_their_events() {
    limit(30, || {
        each_driver(|channel| {
            let (reader, writer) = std::io::pipe().unwrap();
            let mut ours = reader.try_clone().unwrap();
            write(channel, writer, "into the pipe");
            assert_eq!(read(channel, reader), b"into the pipe");
            assert_eq!(ours.read(&mut [0]).unwrap(), 0, "the writing end is still open");
        });
    });
}

#[test]
fn the_pipes_of_a_child_are_sources() {
    limit(30, || {
        each_driver(|channel| {
            let mut shell = Command::new("sh");
            shell.args(["-c", "read line; echo \"out: $line\"; echo \"err: $line\" >&2"]);
            let pipes = shell.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
            let mut child = pipes.spawn().unwrap();
            write(channel, child.stdin.take().unwrap(), "words\n");
            assert_eq!(read(channel, child.stdout.take().unwrap()), b"out: words\n");
            assert_eq!(read(channel, child.stderr.take().unwrap()), b"err: words\n");
            assert!(child.wait().unwrap().success());
        });
    });
}

/// They stay open when their requests have gone.
#[test]
fn the_standard_streams_are_sources_and_stay_open() {
    // (In a process of its own, which has nothing to read, and whose words are kept.)
    let output = in_child("the_standard_streams_are_sources_and_stay_open", || {
        each_driver(|channel| {
            assert_eq!(read(channel, std::io::stdin()), b"");
            write(channel, std::io::stdout(), "\ntold\n");
            write(channel, std::io::stderr(), "warned\n");
        });
    });
    if let Some(output) = &output {
        let lines = |of: &[u8], word| String::from_utf8_lossy(of).lines().filter(|it| *it == word).count();
        let times = all_drivers().len();
        assert_eq!(
            (lines(&output.stdout, "told"), lines(&output.stderr, "warned")),
            (times, times),
            "{output:?}"
        );
    }
    went_well(output);
}

/// An event has what it was on: it is the same descriptor, still open, and closed with the last who has it.
#[test]
fn an_event_gives_its_source_back() {
    limit(30, || {
        each_driver(|channel| {
            let (near, mut far) = UnixStream::pair().unwrap();
            let number = near.as_raw_fd();
            far.write_all(b"echo").unwrap();
            channel.post(Request::recv(near, room(16))).unwrap();
            let mut received = channel.get_event().unwrap();
            let source = received.source().unwrap().clone();
            assert_eq!(source.as_fd().as_raw_fd(), number);
            channel.post(Request::send(source, received.take_buffer())).unwrap();
            drop(received);
            let sent = channel.get_event().unwrap();
            assert_eq!((sent.result().unwrap(), sent.source().unwrap().as_fd().as_raw_fd()), (4, number));
            let mut answer = [0; 4];
            far.read_exact(&mut answer).unwrap();
            assert_eq!(&answer, b"echo");
            drop(sent);
            assert_eq!(far.read(&mut answer).unwrap(), 0, "somebody has it still");
            // Of two it is the one that was read from.
            let (reader, writer) = std::io::pipe().unwrap();
            let (number, file) = (reader.as_raw_fd(), File::options().write(true).open("/dev/null").unwrap());
            drop(writer);
            channel.post(Request::splice(reader, file, 1)).unwrap();
            let event = channel.get_event().unwrap();
            assert_eq!(event.source().unwrap().as_fd().as_raw_fd(), number);
            channel.post(Request::stat("/")).unwrap();
            assert!(channel.get_event().unwrap().source().is_none());
        });
    });
}
