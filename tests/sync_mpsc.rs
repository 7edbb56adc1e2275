//! `sync::mpsc`: std's scenarios, from tasks, threads and both. (No name of std's is used here but by way of `event_channel`.)

mod sync_common;

use ec_test_support::limit;
use ec_unkind as _;
use event_channel::sync::mpsc::{
    Receiver, RecvError, RecvTimeoutError, SendError, Sender, SyncSender, TryRecvError, TrySendError,
    channel, sync_channel,
};
use event_channel::task;
use event_channel::time::Duration;
use sync_common::{Hand, everywhere};

const SHORT: Duration = Duration::from_millis(2);
const LONG: Duration = Duration::from_secs(3600);

/// Both kinds of sender, which the scenarios do not tell apart.
trait Sends: Clone + Send + 'static {
    fn give(&self, value: u32) -> Result<(), SendError<u32>>;
}

impl Sends for Sender<u32> {
    fn give(&self, value: u32) -> Result<(), SendError<u32>> {
        self.send(value)
    }
}

impl Sends for SyncSender<u32> {
    fn give(&self, value: u32) -> Result<(), SendError<u32>> {
        self.send(value)
    }
}

/// A scenario with a channel without bound, and with bounds of 0, 1 and 4.
macro_rules! each_channel {
    (|$sender:ident, $receiver:ident| $scenario:expr) => {{
        let ($sender, $receiver) = channel::<u32>();
        $scenario;
        for bound in [0, 1, 4] {
            let ($sender, $receiver) = sync_channel::<u32>(bound);
            $scenario;
        }
    }};
}

#[test]
fn one_sends_and_the_other_receives_either_way_round() {
    limit(60, || {
        everywhere(|crew| {
            fn sends_there(crew: &sync_common::Crew<'_>, sender: impl Sends, receiver: Receiver<u32>) {
                let sends = crew.spawn(move || sender.give(1).unwrap());
                assert_eq!(receiver.recv(), Ok(1));
                sends.join();
                assert_eq!(receiver.recv(), Err(RecvError));
            }
            fn sends_here(crew: &sync_common::Crew<'_>, sender: impl Sends, receiver: Receiver<u32>) {
                let receives = crew.spawn(move || receiver.recv());
                sender.give(1).unwrap();
                assert_eq!(receives.join(), Ok(1));
                assert_eq!(sender.give(2), Err(SendError(2)));
            }
            each_channel!(|sender, receiver| sends_there(crew, sender, receiver));
            each_channel!(|sender, receiver| sends_here(crew, sender, receiver));
        });
    });
}

#[test]
fn many_senders_are_all_heard() {
    limit(60, || {
        everywhere(|crew| {
            fn many(crew: &sync_common::Crew<'_>, sender: impl Sends, receiver: Receiver<u32>) {
                let senders: Vec<_> = (0..6)
                    .map(|_| {
                        let sender = sender.clone();
                        crew.spawn(move || (0..40).for_each(|_| sender.give(1).unwrap()))
                    })
                    .collect();
                drop(sender);
                assert_eq!(receiver.iter().sum::<u32>(), 240);
                senders.into_iter().for_each(Hand::join);
            }
            each_channel!(|sender, receiver| many(crew, sender, receiver));
        });
    });
}

#[test]
fn a_receiver_that_goes_is_an_error_of_those_that_send() {
    limit(60, || {
        everywhere(|crew| {
            fn goes(crew: &sync_common::Crew<'_>, sender: impl Sends, receiver: Receiver<u32>) {
                let sends = crew.spawn(move || {
                    let sent = (0..).take_while(|n| sender.give(*n).is_ok()).count();
                    assert!(sender.give(7).is_err());
                    sent
                });
                let received = receiver.iter().take(10).count();
                drop(receiver);
                assert!(sends.join() >= received);
            }
            each_channel!(|sender, receiver| goes(crew, sender, receiver));
        });
    });
}

#[test]
fn a_receiver_with_a_limit_gets_each_value_or_hears_why_not() {
    limit(60, || {
        everywhere(|crew| {
            fn with_limit(crew: &sync_common::Crew<'_>, sender: impl Sends, receiver: Receiver<u32>) {
                assert_eq!(receiver.recv_timeout(SHORT), Err(RecvTimeoutError::Timeout));
                let sends = crew.spawn(move || {
                    for n in 0..30 {
                        sender.give(n).unwrap();
                        if n % 10 == 0 {
                            task::sleep(Duration::from_micros(300));
                        }
                    }
                });
                let mut received = 0;
                loop {
                    let limit = if received % 2 == 0 { Duration::from_micros(100) } else { LONG };
                    match receiver.recv_timeout(limit) {
                        Ok(n) => {
                            assert_eq!(n, received);
                            received += 1;
                        }
                        Err(RecvTimeoutError::Timeout) => (),
                        Err(RecvTimeoutError::Disconnected) => break,
                    }
                }
                sends.join();
                assert_eq!(received, 30);
            }
            each_channel!(|sender, receiver| with_limit(crew, sender, receiver));
        });
    });
}

#[test]
fn what_does_not_wait_says_what_there_is() {
    limit(60, || {
        everywhere(|_| {
            let (sender, receiver) = channel();
            assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
            sender.send(1).unwrap();
            sender.send(2).unwrap();
            assert_eq!(receiver.try_recv(), Ok(1));
            drop(sender);
            assert_eq!(receiver.try_recv(), Ok(2));
            assert_eq!(receiver.try_recv(), Err(TryRecvError::Disconnected));
            let (sender, receiver) = sync_channel(1);
            assert_eq!(sender.try_send(1), Ok(()));
            assert_eq!(sender.try_send(2), Err(TrySendError::Full(2)));
            assert_eq!(receiver.recv(), Ok(1));
            drop(receiver);
            assert_eq!(sender.try_send(2), Err(TrySendError::Disconnected(2)));
            let (sender, _receiver) = sync_channel(0);
            assert_eq!(sender.try_send(2), Err(TrySendError::Full(2)));
        });
    });
}

#[test]
fn loops_end_when_the_senders_are_gone_or_nothing_is_there() {
    limit(60, || {
        everywhere(|crew| {
            let (sender, receiver) = channel();
            let (answer, answers) = channel();
            let sums = crew.spawn(move || {
                let mut sum = 0;
                for n in &receiver {
                    sum += n;
                    if sum == 6 {
                        answer.send(sum).unwrap();
                    }
                }
                answer.send(receiver.into_iter().count() as u32).unwrap();
                sum
            });
            (1..=3).for_each(|n| sender.send(n).unwrap());
            assert_eq!(answers.recv(), Ok(6));
            drop(sender);
            assert_eq!(answers.iter().collect::<Vec<u32>>(), [0]);
            assert_eq!(sums.join(), 6);
            let (sender, receiver) = channel();
            assert_eq!(receiver.try_iter().next(), None);
            (1..=3).for_each(|n| sender.send(n).unwrap());
            assert_eq!(receiver.try_iter().collect::<Vec<u32>>(), [1, 2, 3]);
            assert_eq!(receiver.try_iter().count(), 0);
            drop(sender);
            assert_eq!(receiver.into_iter().next(), None);
        });
    });
}

/// A channel's ends travel, through channels too.
#[test]
fn ends_are_sent_from_one_to_another() {
    limit(60, || {
        everywhere(|crew| {
            let (sender, receiver) = sync_channel::<(u32, Sender<u32>)>(0);
            let doubles = crew.spawn(move || {
                for (n, reply) in receiver {
                    reply.send(2 * n).unwrap();
                }
            });
            let clients: Vec<_> = (0..8)
                .map(|n| {
                    let sender = sender.clone();
                    crew.spawn(move || {
                        let (reply, answer) = channel();
                        sender.send((n, reply)).unwrap();
                        assert_eq!(answer.recv(), Ok(2 * n));
                        assert_eq!(answer.recv(), Err(RecvError));
                    })
                })
                .collect();
            drop(sender);
            clients.into_iter().for_each(Hand::join);
            doubles.join();
        });
    });
}

/// A bound is kept: a sender is never more values ahead.
#[test]
fn a_bound_is_kept() {
    limit(60, || {
        everywhere(|crew| {
            for bound in [0, 1, 5] {
                use std::sync::Arc;
                use std::sync::atomic::{AtomicUsize, Ordering};
                let (sender, receiver) = sync_channel(bound);
                let taken = Arc::new(AtomicUsize::new(0));
                let theirs = taken.clone();
                let sends = crew.spawn(move || {
                    for n in 0..60 {
                        sender.send(n).unwrap();
                        // (One is on its way to be counted.)
                        assert!(n < theirs.load(Ordering::SeqCst) + bound + 1);
                    }
                });
                for n in 0..60 {
                    assert_eq!(receiver.recv(), Ok(n));
                    taken.fetch_add(1, Ordering::SeqCst);
                }
                sends.join();
            }
        });
    });
}

#[test]
fn values_in_a_channel_that_goes_are_dropped() {
    limit(60, || {
        everywhere(|crew| {
            use std::sync::Arc;
            let value = Arc::new(());
            let (sender, receiver) = channel();
            (0..10).for_each(|_| sender.send(value.clone()).unwrap());
            drop((receiver.recv().unwrap(), receiver));
            assert_eq!(Arc::strong_count(&value), 1);
            assert!(sender.send(value.clone()).is_err());
            // Sent while the receiver goes: dropped or given back.
            let (sender, receiver) = channel();
            let theirs = value.clone();
            let sends = crew.spawn(move || (0..50).filter(|_| sender.send(theirs.clone()).is_ok()).count());
            drop(receiver);
            assert!(sends.join() <= 50);
            assert_eq!(Arc::strong_count(&value), 1);
        });
    });
}
