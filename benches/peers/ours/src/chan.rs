//! A channel of capacity 1 between tasks, of what the crate has: `park` and `unpark`.
//!
//! Whoever finds the slot as it cannot use it leaves its name there and parks; whoever changes the slot unparks the
//! one that waits. A token that is left over from an earlier time only makes a task look once more.

use event_channel::task::{self, Task};
use std::sync::{Arc, Mutex};

#[derive(Default)]
struct Slot {
    value: Option<u64>,
    receiver: Option<Task>,
    senders: Vec<Task>,
}

/// The sending end.
#[derive(Clone)]
pub struct Tx(Arc<Mutex<Slot>>);

/// The receiving end; there is one.
pub struct Rx(Arc<Mutex<Slot>>);

pub fn chan() -> (Tx, Rx) {
    let slot = Arc::new(Mutex::new(Slot::default()));
    (Tx(slot.clone()), Rx(slot))
}

/// Waits while there is a value in the slot.
pub fn send(tx: &Tx, v: u64) {
    loop {
        let mut slot = tx.0.lock().unwrap();
        if slot.value.is_none() {
            slot.value = Some(v);
            let receiver = slot.receiver.take();
            drop(slot);
            if let Some(task) = receiver {
                task.unpark();
            }
            return;
        }
        slot.senders.push(task::current());
        drop(slot);
        task::park();
    }
}

/// Waits while there is none.
pub fn recv(rx: &Rx) -> u64 {
    loop {
        let mut slot = rx.0.lock().unwrap();
        if let Some(v) = slot.value.take() {
            let sender = slot.senders.pop();
            drop(slot);
            if let Some(task) = sender {
                task.unpark();
            }
            return v;
        }
        slot.receiver = Some(task::current());
        drop(slot);
        task::park();
    }
}
