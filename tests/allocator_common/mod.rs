//! What the tests with allocators of their own share: a program that does a bit of everything.

use event_channel::channel::{Driver, Request};
use event_channel::net::{TcpListener, TcpStream};
use event_channel::sync::Notification;
use event_channel::{Runtime, task, time};
use std::io::{Read, Write};
use std::net::ToSocketAddrs;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

const SHORT: Duration = Duration::from_millis(2);

/// Everything, on one core and on three, with each driver there is. Gives how many runtimes that were.
pub fn everything(rounds: usize) -> usize {
    let mut runtimes = 0;
    for (driver, cores) in Driver::ALL.into_iter().flat_map(|driver| [(driver, 1), (driver, 3)]) {
        let told = Arc::new(Notification::new());
        let theirs = told.clone();
        let builder = Runtime::builder().cores(cores).driver(driver).max_threads(24).keep_alive(4 * SHORT);
        let runtime = match builder.on_event(move |_| theirs.post()).build() {
            Ok(runtime) => Arc::new(runtime),
            Err(error) => {
                println!("left out: {driver}: {error}");
                continue;
            }
        };
        for _ in 0..rounds {
            notifications(&runtime);
            blocked(&runtime);
            connections(&runtime);
            handlers(&runtime);
            many(&runtime);
            let words = format!("{} {:?} {told:?}", runtime.dump(), runtime.metrics());
            assert!(words.contains(" task"));
        }
        let never = runtime.spawn(task::park);
        thread::sleep(SHORT);
        let error = runtime.shutdown(10 * SHORT).unwrap_err();
        assert!(!error.names().is_empty());
        drop(never);
        runtimes += 1;
    }
    runtimes
}

fn notifications(runtime: &Runtime) {
    let notification = Arc::new(Notification::new());
    let wait = || {
        let notification = notification.clone();
        move || {
            while !notification.wait_timeout(SHORT / 4) {}
            notification.wait();
        }
    };
    let tasks: Vec<_> = (0..20).map(|_| runtime.spawn(wait())).collect();
    let threads: Vec<_> = (0..2).map(|_| thread::spawn(wait())).collect();
    thread::sleep(SHORT);
    (0..44).for_each(|_| notification.post());
    tasks.into_iter().for_each(|task| task.join().unwrap());
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    notification.post_all();
}

/// More tasks than cores that block their threads, and one that lets them go.
fn blocked(runtime: &Runtime) {
    let (senders, receivers): (Vec<_>, Vec<_>) = (0..8).map(|_| mpsc::channel::<u8>()).unzip();
    let waits = receivers.into_iter().map(|receiver| runtime.spawn(move || receiver.recv().unwrap()));
    let waits: Vec<_> = waits.collect();
    thread::sleep(SHORT);
    runtime.run(|| senders.iter().for_each(|sender| sender.send(1).unwrap()));
    assert_eq!(waits.into_iter().map(|task| u32::from(task.join().unwrap())).sum::<u32>(), 8);
    runtime.run(|| task::blocking(|| thread::sleep(SHORT)));
}

fn connections(runtime: &Runtime) {
    runtime.run(|| {
        // (Looked up by a helper.)
        let Some(address) = ("localhost", 0).to_socket_addrs().ok().and_then(|mut found| found.next()) else {
            return;
        };
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        let clients: Vec<_> = (0..4)
            .map(|_| {
                task::spawn(move || {
                    let mut stream = TcpStream::connect(("localhost", address.port())).unwrap();
                    stream.write_all(b"ping").unwrap();
                    stream.read_exact(&mut [0; 4]).unwrap();
                    let late = time::timeout(SHORT, || stream.read(&mut [0; 4]));
                    assert!(late.is_err());
                })
            })
            .collect();
        let streams: Vec<_> = (0..4).map(|_| listener.accept().unwrap().0).collect();
        for mut stream in &streams {
            let mut ping = [0; 4];
            stream.read_exact(&mut ping).unwrap();
            stream.write_all(&ping).unwrap();
        }
        clients.into_iter().for_each(|client| client.join().unwrap());
        let cancelled = task::spawn(move || listener.accept().map(drop));
        time::sleep(SHORT / 2);
        cancelled.cancel();
        assert!(cancelled.join().unwrap().is_err());
    });
}

fn handlers(runtime: &Runtime) {
    let (sender, receiver) = mpsc::channel();
    for _ in 0..10 {
        let sender = sender.clone();
        let request = Request::timer(SHORT / 4).on_complete(move |_, _| sender.send(()).unwrap_or(()));
        runtime.channel().post(request).unwrap();
    }
    (0..10).for_each(|_| receiver.recv().unwrap());
    let channel = runtime.channel().clone();
    channel.post(Request::timer(SHORT / 4)).unwrap();
    assert!(runtime.run(|| channel.get_event()).is_ok());
}

fn many(runtime: &Runtime) {
    fn tree(depth: u32) -> u32 {
        match depth {
            0 => 1,
            _ => {
                let two = [task::spawn(move || tree(depth - 1)), task::spawn(move || tree(depth - 1))];
                two.into_iter().map(|task| task.join().unwrap()).sum()
            }
        }
    }
    assert_eq!(runtime.run(|| tree(7)), 128);
    let turns = (0..50).map(|_| runtime.spawn(|| (0..20).for_each(|_| task::yield_now())));
    turns.collect::<Vec<_>>().into_iter().for_each(|task| task.join().unwrap());
}
