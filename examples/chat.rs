//! chat: a chat server. Whoever connects says which room to enter and who it is; what one says goes to all in the room.
//!
//! ```text
//! cargo run --release --example chat                  serves 127.0.0.1:7000 until Ctrl-C; talk to it by: nc 127.0.0.1 7000
//! cargo run --release --example chat -- --demo 3      three seconds of forty talkers against itself
//! ```
//!
//! It is written as one would with threads: for each connection one task reads what comes, and one writes what is in the
//! connection's queue. Nobody waits for a talker who is slow to listen, but its own queue. A task that waits, for its
//! connection or for its queue, is suspended and keeps no thread: a thousand talkers are two thousand tasks, and a few threads.
//! (A real server also limits lines and queues, and ends in good order: `port7` shows how.) `chat/demo.rs` has the talkers.

#[path = "chat/demo.rs"]
mod demo;
#[path = "chat/queue.rs"]
mod queue;

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Write};
use std::process::ExitCode;
use std::time::Duration;

use event_channel::net::{TcpListener, TcpStream};
use event_channel::sync::{Arc, Mutex};
use event_channel::{Runtime, task};

use queue::Sender;

const ADDRESS: &str = "127.0.0.1:7000";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let ended = match words[..] {
        [] => serve_for_good(),
        ["--demo", seconds] if seconds.parse::<u64>().is_ok() => {
            demo::run(Duration::from_secs(seconds.parse().expect("a number")))
        }
        _ => {
            eprintln!("usage: chat [--demo SECONDS]");
            return ExitCode::from(2);
        }
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("chat: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve_for_good() -> io::Result<()> {
    Runtime::builder().build()?.run(|| {
        let listener = TcpListener::bind(ADDRESS)?;
        println!("a chat on {ADDRESS}");
        serve(&listener)
    })
}

/// Takes in whoever comes, until the task is cancelled.
fn serve(listener: &TcpListener) -> io::Result<()> {
    let rooms = Arc::new(Rooms::default());
    for id in 0.. {
        let (stream, _) = listener.accept()?;
        let rooms = rooms.clone();
        task::spawn(move || {
            if let Err(error) = talk(stream, id, &rooms) {
                eprintln!("chat: talker {id}: {error}");
            }
        });
    }
    Ok(())
}

/// One talker, from the first line to the last.
fn talk(stream: TcpStream, id: u64, rooms: &Rooms) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let (queue, lines) = queue::channel::<Line>();
    let mut output = stream.try_clone()?;
    task::spawn(move || {
        for line in lines {
            if output.write_all(line.as_bytes()).is_err() {
                // It has gone. The task that reads finds that, too.
                return;
            }
        }
    });

    queue.send("which room?\n".into());
    let mut input = BufReader::new(stream).lines();
    let Some(room) = input.next().transpose()? else { return Ok(()) };
    queue.send("and you are?\n".into());
    let Some(name) = input.next().transpose()? else { return Ok(()) };

    rooms.enter(&room, id, queue);
    rooms.say(&room, &format!("{name} is here"));
    let ended = input.try_for_each(|line| {
        rooms.say(&room, &format!("{name}: {}", line?));
        Ok(())
    });
    rooms.leave(&room, id);
    rooms.say(&room, &format!("{name} has left"));
    ended
}

/// One text, in the queues of all who are to read it.
type Line = Arc<str>;

/// Who is in which room: the queues of all, by the talkers' numbers.
#[derive(Default)]
struct Rooms(Mutex<HashMap<String, HashMap<u64, Sender<Line>>>>);

impl Rooms {
    fn enter(&self, room: &str, id: u64, queue: Sender<Line>) {
        self.0.lock().unwrap().entry(room.into()).or_default().insert(id, queue);
    }

    /// To send into a queue never waits, so the lock is held for a moment only.
    fn say(&self, room: &str, text: &str) {
        let line: Line = format!("{text}\n").into();
        if let Some(talkers) = self.0.lock().unwrap().get(room) {
            talkers.values().for_each(|queue| queue.send(line.clone()));
        }
    }

    fn leave(&self, room: &str, id: u64) {
        let mut rooms = self.0.lock().unwrap();
        if let Some(talkers) = rooms.get_mut(room) {
            talkers.remove(&id);
            if talkers.is_empty() {
                rooms.remove(room);
            }
        }
    }
}
