//! `sync::channel`: values between tasks, threads and both.

mod sync_common;

use ec_test_support::limit;
use ec_unkind as _;
use event_channel::sync::channel::{
    self, Receiver, RecvError, RecvTimeoutError, SendError, SendTimeoutError, Sender, TryRecvError,
    TrySendError,
};
use event_channel::time::Duration;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use sync_common::{Hand, everywhere};

const SHORT: Duration = Duration::from_millis(2);

/// With each number of places that makes a difference.
fn each_channel<T>(mut test: impl FnMut(Sender<T>, Receiver<T>)) {
    for places in [0, 1, 3, 200] {
        let (sender, receiver) = channel::bounded(places);
        test(sender, receiver);
    }
    let (sender, receiver) = channel::unbounded();
    test(sender, receiver);
}

#[test]
fn each_value_of_many_senders_comes_to_one_of_many_receivers() {
    limit(120, || {
        everywhere(|crew| {
            const EACH: usize = 60;
            each_channel(|sender, receiver| {
                let senders: Vec<_> = (0..4)
                    .map(|me| {
                        let sender = sender.clone();
                        crew.spawn(move || (0..EACH).for_each(|n| sender.send((me, n)).unwrap()))
                    })
                    .collect();
                let receivers: Vec<_> = (0..4)
                    .map(|_| {
                        let receiver = receiver.clone();
                        crew.spawn(move || receiver.iter().collect::<Vec<_>>())
                    })
                    .collect();
                drop((sender, receiver));
                senders.into_iter().for_each(Hand::join);
                let mut all: Vec<_> = receivers.into_iter().flat_map(Hand::join).collect();
                all.sort_unstable();
                let expected: Vec<_> = (0..4).flat_map(|me| (0..EACH).map(move |n| (me, n))).collect();
                assert_eq!(all, expected);
            });
        });
    });
}

#[test]
fn the_values_of_one_sender_come_in_order() {
    limit(120, || {
        everywhere(|crew| {
            each_channel(|sender, receiver| {
                let sends = crew.spawn(move || (0..300).for_each(|n| sender.send(n).unwrap()));
                assert!(receiver.into_iter().eq(0..300));
                sends.join();
            });
        });
    });
}

#[test]
fn who_waits_hears_that_the_other_end_is_gone() {
    limit(120, || {
        everywhere(|crew| {
            each_channel::<u32>(|sender, receiver| {
                let waits = crew.spawn(move || receiver.recv());
                std::thread::yield_now();
                drop(sender);
                assert_eq!(waits.join(), Err(RecvError::Closed));
            });
            for places in [0, 1] {
                let (sender, receiver) = channel::bounded(places);
                (0..places).for_each(|_| sender.send(0).unwrap());
                let waits = crew.spawn(move || sender.send(7));
                std::thread::yield_now();
                drop(receiver);
                assert_eq!(waits.join(), Err(SendError::Closed(7)));
            }
        });
    });
}

/// From either side: nothing is sent any more, and what lies there is received.
#[test]
fn a_close_lets_nothing_in_and_loses_nothing() {
    limit(120, || {
        everywhere(|crew| {
            for from_sender in [true, false] {
                each_channel(|sender, receiver| {
                    let sends = {
                        let sender = sender.clone();
                        crew.spawn(move || (0..).take_while(|n| sender.send(*n).is_ok()).count())
                    };
                    let receives = {
                        let receiver = receiver.clone();
                        crew.spawn(move || receiver.iter().count())
                    };
                    let mine = (0..20).map_while(|_| receiver.recv().ok()).count();
                    assert!(if from_sender { sender.close() } else { receiver.close() });
                    assert!(
                        sender.is_closed() && receiver.is_closed() && !sender.close() && !receiver.close()
                    );
                    let (sent, received) = (sends.join(), receives.join());
                    // (What was put in just before.)
                    let left = receiver.iter().count();
                    assert_eq!(sent, mine + received + left);
                    assert_eq!(sender.send(1), Err(SendError::Closed(1)));
                    assert_eq!(sender.try_send(1), Err(TrySendError::Closed(1)));
                    assert_eq!(receiver.try_recv(), Err(TryRecvError::Closed));
                });
            }
        });
    });
}

#[test]
fn what_does_not_wait_says_why_not() {
    limit(120, || {
        everywhere(|_| {
            let (sender, receiver) = channel::bounded_named(2, "two");
            assert_eq!((sender.capacity(), receiver.name(), sender.is_full()), (Some(2), Some("two"), false));
            assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
            assert_eq!(receiver.recv_timeout(SHORT), Err(RecvTimeoutError::Timeout));
            sender.try_send(1).unwrap();
            sender.try_send(2).unwrap();
            assert_eq!((sender.len(), receiver.is_empty(), receiver.is_full()), (2, false, true));
            assert_eq!(sender.try_send(3), Err(TrySendError::Full(3)));
            assert_eq!(sender.send_timeout(3, SHORT), Err(SendTimeoutError::Timeout(3)));
            assert_eq!(receiver.try_iter().collect::<Vec<_>>(), [1, 2]);
            let other = sender.clone();
            assert!(other.same_channel(&sender) && !other.same_channel(&channel::bounded(2).0));
            drop((sender, other));
            assert_eq!(receiver.try_recv(), Err(TryRecvError::Closed));
            assert_eq!(receiver.recv_timeout(SHORT), Err(RecvTimeoutError::Closed));
            let (sender, receiver) = channel::unbounded::<u32>();
            assert_eq!((sender.capacity(), sender.is_full(), receiver.len()), (None, false, 0));
            drop(receiver);
            assert_eq!(sender.send_timeout(3, SHORT), Err(SendTimeoutError::Closed(3)));
        });
    });
}

/// `bounded(0)`: both are there.
#[test]
fn without_places_both_have_to_be_there() {
    limit(120, || {
        everywhere(|crew| {
            let (sender, receiver) = channel::bounded(0);
            assert_eq!(sender.try_send(1), Err(TrySendError::Full(1)));
            assert_eq!(sender.send_timeout(1, SHORT), Err(SendTimeoutError::Timeout(1)));
            assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
            assert_eq!((sender.len(), sender.is_full(), sender.capacity()), (0, true, Some(0)));
            let received = Arc::new(AtomicUsize::new(0));
            let sends = {
                let received = received.clone();
                crew.spawn(move || {
                    for n in 0..50 {
                        sender.send(n).unwrap();
                        // What has been sent was taken, so the one before was counted.
                        assert!(received.load(Ordering::SeqCst) >= n);
                    }
                    // (A receiver that waits is enough.)
                    let mut n = 50;
                    while n < 60 {
                        match sender.try_send(n) {
                            Ok(()) => n += 1,
                            Err(TrySendError::Full(_)) => event_channel::task::yield_now(),
                            Err(TrySendError::Closed(_)) => panic!("the receiver is there"),
                        }
                    }
                })
            };
            for n in 0..60 {
                assert_eq!(receiver.recv(), Ok(n));
                received.fetch_add(1, Ordering::SeqCst);
            }
            sends.join();
        });
    });
}

struct Counted(Arc<AtomicUsize>, Option<Sender<Counted>>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
        // A destructor does what it likes, with its own channel too.
        if let Some(sender) = self.1.take() {
            let _ = sender.try_send(Counted(self.0.clone(), None));
            assert!(sender.len() <= 200);
        }
    }
}

#[test]
fn what_nobody_receives_is_dropped_once_with_the_last_receiver() {
    limit(120, || {
        everywhere(|_| {
            for places in [Some(1), Some(3), Some(200), None] {
                let (sender, receiver) = match places {
                    Some(places) => channel::bounded(places),
                    None => channel::unbounded(),
                };
                let dropped = Arc::new(AtomicUsize::new(0));
                let many = places.unwrap_or(100).min(100);
                for _ in 0..many {
                    sender.send(Counted(dropped.clone(), Some(sender.clone()))).unwrap();
                }
                let other = receiver.clone();
                drop(receiver);
                assert_eq!(dropped.load(Ordering::SeqCst), 0);
                drop(other);
                // Each, and the one that each could not send any more.
                assert_eq!(dropped.load(Ordering::SeqCst), 2 * many);
                drop(sender.send(Counted(dropped.clone(), None)).unwrap_err().into_inner());
                assert_eq!(dropped.load(Ordering::SeqCst), 2 * many + 1);
                assert_eq!(Arc::strong_count(&dropped), 1);
            }
        });
    });
}

#[test]
fn values_of_any_size_pass() {
    limit(120, || {
        everywhere(|crew| {
            each_channel(|sender, receiver| {
                let sends = crew.spawn(move || (0..100).for_each(|_| sender.send(()).unwrap()));
                assert_eq!(receiver.iter().count(), 100);
                sends.join();
            });
            each_channel(|sender, receiver| {
                let sends = crew.spawn(move || (0..40).for_each(|n| sender.send([n; 300]).unwrap()));
                assert!(receiver.iter().eq((0..40).map(|n: u64| [n; 300])));
                sends.join();
            });
        });
    });
}
