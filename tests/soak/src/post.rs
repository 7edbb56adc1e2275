//! Mailboxes: many write, one task reads, and each message has to come exactly once and in its writer's order.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};

use event_channel::sync::Notification;
use event_channel::task::{self, JoinHandle};

use crate::tally;
use crate::watch::{check, progress};

/// Who has sent it, and its number among those of this writer in this box. `None`: there will be no more.
type Message = Option<(u64, u64)>;

pub struct Mailbox {
    way: Way,
    sent: Arc<AtomicU64>,
}

enum Way {
    /// The reader suspends.
    Bell(Arc<(Mutex<VecDeque<Message>>, Notification)>),
    /// The reader blocks its thread.
    Channel(mpsc::Sender<Message>),
}

impl Mailbox {
    /// One with its reader, which returns when there are no more messages.
    pub fn open(blocks: bool) -> (Mailbox, JoinHandle<()>) {
        let sent = Arc::new(AtomicU64::new(0));
        let total = sent.clone();
        if blocks {
            let (sender, receiver) = mpsc::channel();
            let next = move || {
                tally::BLOCKS.add(1);
                receiver.recv().expect("the epoch keeps a sender")
            };
            return (Mailbox { way: Way::Channel(sender), sent }, task::spawn(move || read(next, &total)));
        }
        let queue = Arc::new((Mutex::new(VecDeque::new()), Notification::new()));
        let theirs = queue.clone();
        let next = move || {
            theirs.1.wait();
            let message = theirs.0.lock().expect("nobody panics with it").pop_front();
            message.unwrap_or_else(|| crate::watch::fail!("a notification without a message"))
        };
        (Mailbox { way: Way::Bell(queue), sent }, task::spawn(move || read(next, &total)))
    }

    pub fn send(&self, writer: u64, number: u64) {
        self.sent.fetch_add(1, Ordering::SeqCst);
        tally::MESSAGES.add(1);
        self.put(Some((writer, number)));
    }

    /// After the last message.
    pub fn close(&self) {
        self.put(None);
    }

    fn put(&self, message: Message) {
        match &self.way {
            Way::Bell(queue) => {
                queue.0.lock().expect("nobody panics with it").push_back(message);
                queue.1.post();
            }
            Way::Channel(sender) => sender.send(message).expect("the reader reads to the end"),
        }
    }
}

fn read(next: impl Fn() -> Message, sent: &AtomicU64) {
    let mut numbers: HashMap<u64, u64> = HashMap::new();
    let mut got = 0;
    while let Some((writer, number)) = next() {
        let expected = numbers.entry(writer).or_default();
        check!(*expected == number, "message {number} of writer {writer} instead of {expected}");
        *expected += 1;
        got += 1;
        progress();
    }
    let sent = sent.load(Ordering::SeqCst);
    check!(got == sent, "{got} messages have come of {sent}");
}
