//! A chat server: for each connection a task that reads and one that writes what is in its queue. The rooms are under std's lock, as
//! its documentation says for a lock that is not held across an `await`.

use super::run;
use crate::rt;
use common::{Line, listen};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

type Rooms = HashMap<String, Vec<(usize, UnboundedSender<Line>)>>;

pub fn serve(workers: usize) {
    let listener = listen(0);
    println!("{{\"port\":{}}}", listener.local_addr().unwrap().port());
    run(workers, async move {
        let listener = rt::listener(listener);
        let rooms = Arc::new(Mutex::new(Rooms::new()));
        for number in 0.. {
            let stream = rt::accept(&listener).await;
            tokio::spawn(connection(stream, number, rooms.clone()));
        }
        0
    });
}

async fn connection(stream: rt::Stream, number: usize, rooms: Arc<Mutex<Rooms>>) {
    let (input, mut output) = stream.into_split();
    let (tx, mut rx) = unbounded_channel::<Line>();
    let writing = tokio::spawn(async move {
        while let Some(line) = rx.recv().await {
            if output.write_all(&line).await.is_err() {
                return;
            }
        }
    });
    let mut lines = BufReader::new(input);
    let mut room = String::new();
    if lines.read_line(&mut room).await.is_ok_and(|n| n > 0) {
        rooms.lock().unwrap().entry(room.clone()).or_default().push((number, tx));
        let mut line = Vec::new();
        while lines.read_until(b'\n', &mut line).await.is_ok_and(|n| n > 0) {
            let shared = Line::from(line.as_slice());
            rooms.lock().unwrap()[&room].iter().for_each(|(_, tx)| drop(tx.send(shared.clone())));
            line.clear();
        }
        rooms.lock().unwrap().get_mut(&room).unwrap().retain(|(theirs, _)| *theirs != number);
    }
    writing.await.unwrap();
}
