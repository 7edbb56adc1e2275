//! A chat server: for each connection a task that reads and one that writes what is in its queue.
//!
//! The first line of a connection is the name of its room; each later one goes to all in the room, its sender too.

use super::{Channels, Locks, begin};
use crate::rt;
use common::{Line, listen};
use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::sync::Arc;

type Rooms<C> = HashMap<String, Vec<(usize, <C as Channels>::Tx<Line>)>>;

/// Runs it, if the command line names it.
pub fn chat<L: Locks, C: Channels>() -> bool {
    let (a, workers) = begin();
    if a.workload == "chat" {
        serve::<L, C>(workers);
    }
    a.workload == "chat"
}

fn serve<L: Locks, C: Channels>(workers: usize) {
    let listener = listen(0);
    println!("{{\"port\":{}}}", listener.local_addr().unwrap().port());
    rt::run(workers, move || {
        let listener = rt::listener(listener);
        let rooms = Arc::new(L::mutex(Rooms::<C>::new()));
        for number in 0.. {
            let (stream, rooms) = (rt::accept(&listener), rooms.clone());
            drop(rt::spawn(move || connection::<L, C>(stream, number, &rooms)));
        }
        0
    });
}

fn connection<L: Locks, C: Channels>(stream: rt::Stream, number: usize, rooms: &L::Mutex<Rooms<C>>) {
    let mut out = rt::another(&stream);
    let (tx, rx) = C::queue::<Line>();
    let writing = rt::spawn(move || {
        while let Some(line) = C::recv(&rx) {
            if out.write_all(&line).is_err() {
                return;
            }
        }
    });
    let mut lines = BufReader::new(stream);
    let mut room = String::new();
    if lines.read_line(&mut room).is_ok_and(|n| n > 0) {
        L::with(rooms, |rooms| rooms.entry(room.clone()).or_default().push((number, tx)));
        let mut line = Vec::new();
        while lines.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
            let shared = Line::from(line.as_slice());
            L::with(rooms, |rooms| rooms[&room].iter().for_each(|(_, tx)| C::send(tx, shared.clone())));
            line.clear();
        }
        L::with(rooms, |rooms| rooms.get_mut(&room).unwrap().retain(|(theirs, _)| *theirs != number));
    }
    rt::join(writing);
}
