//! `select!`: the first of several comes, and nothing else has happened.

mod sync_common;

use ec_test_support::limit;
use ec_unkind as _;
use event_channel::net::{TcpListener, TcpStream, UdpSocket};
use event_channel::sync::channel::{RecvError, SendError};
use event_channel::sync::select::SelectError;
use event_channel::sync::{Arc, Notification, channel, mpsc, oneshot, select};
use event_channel::task::{self, JoinSet, scope};
use event_channel::time::{self, Duration, Instant, interval, timeout};
use event_channel::{is_deadline, run};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use sync_common::{Hand, each_runtime_of, eventually, everywhere};

const SHORT: Duration = Duration::from_millis(2);
const LONG: Duration = Duration::from_secs(3600);

/// Each comes, after the others have been waited for, too.
#[test]
fn each_arm_comes() {
    limit(120, || {
        everywhere(|crew| {
            let soon = |f: Box<dyn FnOnce() + Send>| {
                crew.spawn(move || {
                    time::sleep(Duration::from_micros(500));
                    f();
                })
            };
            // What does not come.
            let (_full, empty) = channel::bounded::<u32>(1);
            let (never, _to_nobody) = oneshot::channel::<()>();
            let nothing = Notification::new();
            let mut forever = task::spawn(|| task::park_cancellable().is_err());
            let quiet = UdpSocket::bind("127.0.0.1:0").unwrap();
            macro_rules! comes {
                ($operation:ident ($($argument:expr),*) -> $output:pat => $body:expr) => {
                    select! {
                        recv(&empty) -> _ => panic!("nobody sends"),
                        closed(&never) => panic!("its receiver is there"),
                        wait(&nothing) => panic!("nobody posts"),
                        $operation($($argument),*) -> $output => $body,
                        join(&mut forever) -> _ => panic!("it is parked"),
                        wait_readable(&quiet) -> _ => panic!("nobody sends anything"),
                        sleep(LONG) => panic!("too late"),
                    }
                    .unwrap()
                };
            }
            for bound in [Some(0), Some(1), None] {
                let pair = || match bound {
                    Some(places) => channel::bounded(places),
                    None => channel::unbounded(),
                };
                let (sender, receiver) = pair();
                let other = soon(Box::new(move || sender.send(7).unwrap()));
                comes!(recv(&receiver) -> value => assert_eq!(value, Ok(7)));
                other.join();
                comes!(recv(&receiver) -> end => assert_eq!(end, Err(RecvError::Closed)));
                if let Some(places) = bound {
                    let (sender, receiver) = pair();
                    (0..places).for_each(|_| sender.send(0).unwrap());
                    let other = soon(Box::new(move || {
                        (0..places).for_each(|_| assert_eq!(receiver.recv(), Ok(0)));
                        assert_eq!(receiver.recv(), Ok(7));
                    }));
                    comes!(send(&sender, 7) -> sent => assert_eq!(sent, Ok(())));
                    other.join();
                    comes!(send(&sender, 8) -> end => assert_eq!(end, Err(SendError::Closed(8))));
                }
            }
            let (sender, receiver) = mpsc::channel();
            let other = soon(Box::new(move || sender.send(7).unwrap()));
            comes!(recv(&receiver) -> value => assert_eq!(value, Ok(7)));
            other.join();
            comes!(recv(&receiver) -> end => assert_eq!(end, Err(mpsc::RecvError)));
            let (sender, receiver) = mpsc::sync_channel(0);
            let other = soon(Box::new(move || assert_eq!(receiver.recv(), Ok(7))));
            comes!(send(&sender, 7) -> sent => assert_eq!(sent, Ok(())));
            other.join();
            let (sender, receiver) = mpsc::channel();
            comes!(send(&sender, 7) -> sent => assert_eq!(sent, Ok(())));
            assert_eq!(receiver.recv(), Ok(7));

            let (reply, answer) = oneshot::channel();
            let other = soon(Box::new(move || reply.send(7).unwrap()));
            comes!(recv(&answer) -> value => assert_eq!(value, Ok(7)));
            other.join();
            comes!(recv(&answer) -> end => assert_eq!(end, Err(RecvError::Closed)));
            let (reply, answer) = oneshot::channel::<()>();
            let other = soon(Box::new(move || drop(answer)));
            comes!(closed(&reply) -> _ => ());
            other.join();

            let posts = Arc::new(Notification::new());
            for post in [Notification::post, Notification::post_all] {
                let theirs = posts.clone();
                // (The latter is for those that wait already.)
                let over = Arc::new(AtomicUsize::new(0));
                let is_over = over.clone();
                let other = soon(Box::new(move || {
                    post(&theirs);
                    eventually(|| {
                        theirs.post_all();
                        is_over.load(Ordering::Relaxed) == 1
                    });
                }));
                comes!(wait(&posts) -> _ => ());
                over.store(1, Ordering::Relaxed);
                other.join();
                assert!(!posts.try_wait(), "it has been taken");
            }

            let mut child = task::spawn(|| time::sleep(SHORT));
            comes!(join(&mut child) -> result => result.unwrap());
            scope(|s| {
                let mut child = s.spawn(|| -> u32 { panic!("on purpose") });
                comes!(join(&mut child) -> result => assert!(result.is_err()));
            });
            let mut set = JoinSet::new();
            comes!(join_next(&mut set) -> none => assert!(none.is_none()));
            (0..2).for_each(|_| _ = set.spawn(|| time::sleep(SHORT)));
            (0..2).for_each(|_| comes!(join_next(&mut set) -> one => one.unwrap().unwrap()));
            assert!(set.is_empty());

            let start = Instant::now();
            comes!(sleep(SHORT) -> _ => assert!(start.elapsed() >= SHORT));
            let at = Instant::now() + SHORT;
            comes!(sleep_until(at) -> _ => assert!(Instant::now() >= at));
            let mut ticks = interval(SHORT);
            let due = [(); 3].map(|()| comes!(tick(&mut ticks) -> due => due));
            assert!(due[1] == due[0] + SHORT && due[2] == due[1] + SHORT);

            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = listener.local_addr().unwrap();
            let other = soon(Box::new(move || {
                TcpStream::connect(address).unwrap().write_all(b"hello").unwrap();
            }));
            comes!(wait_readable(&listener) -> ready => ready.unwrap());
            let (mut stream, _) = listener.accept().unwrap();
            comes!(wait_writable(&stream) -> ready => ready.unwrap());
            comes!(wait_readable(&stream) -> ready => ready.unwrap());
            let mut word = String::new();
            stream.read_to_string(&mut word).unwrap();
            assert_eq!(word, "hello");
            other.join();

            // What did not come is as it was.
            forever.cancel();
            assert!(forever.join().unwrap());
            assert!(!nothing.try_wait());
        });
    });
}

/// With `default` nothing waits, and nothing is left behind.
#[test]
fn what_has_not_come_is_not_waited_for() {
    limit(60, || {
        everywhere(|_| {
            let (sender, receiver) = channel::bounded(0);
            let (_reply, answer) = oneshot::channel::<()>();
            let nothing = Notification::new();
            let mut child = task::spawn(|| task::park_cancellable().is_err());
            let quiet = UdpSocket::bind("127.0.0.1:0").unwrap();
            let mut ticks = interval(LONG);
            ticks.tick();
            for _ in 0..100 {
                let none = select! {
                    recv(&receiver) -> _ => false,
                    send(&sender, 7) -> _ => false,
                    recv(&answer) -> _ => false,
                    wait(&nothing) => false,
                    join(&mut child) -> _ => false,
                    tick(&mut ticks) -> _ => false,
                    sleep(SHORT * 1000) => false,
                    wait_readable(&quiet) -> _ => false,
                    default => true,
                };
                assert_eq!(none, Ok(true));
            }
            assert!(sender.try_send(7).is_err(), "nobody waits for it");
            nothing.post();
            assert_eq!(select! { wait(&nothing) => 1, default => 2 }, Ok(1));
            child.cancel();
            child.join().unwrap();
        });
    });
}

/// The code of an arm is code of the function around.
#[test]
fn arms_are_code_as_any_other() {
    fn first_even(receiver: &channel::Receiver<u32>) -> io::Result<Option<u32>> {
        let mut odd = Vec::new();
        let even = loop {
            select! {
                recv(receiver) -> value => {
                    let Ok(value) = value else { return Ok(None) };
                    if value % 2 == 1 {
                        odd.push(value);
                        continue;
                    }
                    break value;
                }
                sleep(LONG) => unreachable!()
            }?
        };
        assert_eq!(odd, [1, 3]);
        select! {
            sleep(Duration::ZERO) => Err(io::Error::other("from an arm"))?,
        }?;
        Ok(Some(even))
    }
    limit(60, || {
        run(|| {
            let (sender, receiver) = channel::unbounded();
            [1, 3, 4].iter().for_each(|value| sender.send(*value).unwrap());
            assert_eq!(first_even(&receiver).unwrap_err().to_string(), "from an arm");
            drop(sender);
            assert_eq!(first_even(&receiver).unwrap(), None);
            // One arm, patterns, values that borrow from what was waited for, names of the caller's.
            let (first, arm, came) = (1, 2, 3);
            let (sender, receiver) = channel::bounded(2);
            sender.send((String::from("key"), [4, 5])).unwrap();
            let sum = select! {
                recv(&receiver) -> value => {
                    let (key, [four, five]) = value.unwrap();
                    assert_eq!(key, "key");
                    drop(receiver); // it is lent no more
                    first + arm + came + four + five
                }
            };
            assert_eq!(sum, Ok(15));
            // Without a value.
            let () = select! { sleep(SHORT) => {} }.unwrap();
            let mut handle = task::spawn(|| 7);
            let joined =
                select! { biased; join(&mut handle) -> result => (result.unwrap(), handle.is_finished()) };
            assert_eq!(joined, Ok((7, true)));
        });
    });
}

/// As in calls of methods.
#[test]
fn what_refers_to_an_end_is_as_good() {
    limit(60, || {
        let (sender, receiver) = channel::bounded(2);
        let (sender, receiver) = (Arc::new(sender), Arc::new(receiver));
        let recv = |from: &&Arc<channel::Receiver<u32>>| select! { recv(from) -> value => value.ok() };
        assert_eq!(select! { send(&sender, 1) -> sent => sent }, Ok(Ok(())));
        let (twice, mut slot) = (&&*sender, Some(2));
        assert_eq!(select! { send_from(twice, &mut slot) -> sent => sent }, Ok(Ok(())));
        assert_eq!([recv(&&receiver), recv(&&receiver)], [Ok(Some(1)), Ok(Some(2))]);
        drop(receiver);
        assert_eq!(select! { send(&sender, 3) -> sent => sent }, Ok(Err(SendError::Closed(3))));
        // That of a closed channel is in the error.
        let mut slot = Some(4);
        let sent = select! { send_from(&sender, &mut slot) -> sent => sent };
        assert_eq!((sent, slot), (Ok(Err(SendError::Closed(4))), None));
        let (_sender, answer) = oneshot::channel::<u32>();
        let answer = Box::new(answer);
        assert_eq!(select! { recv(&answer) -> _ => 1, default => 2 }, Ok(2));
    });
}

/// poll(2) says so in what it gives, and not by an error.
#[test]
fn what_cannot_be_polled_is_an_error() {
    let of_no_use = || {
        let path = std::fs::OpenOptions::new().read(true).custom_flags(libc::O_PATH).open("/").unwrap();
        let errors = [
            select! { wait_readable(&path) -> ready => ready, sleep(LONG) => Ok(()) },
            select! { wait_writable(&path) -> ready => ready, default => Ok(()) },
        ];
        errors.map(|error| error.unwrap().unwrap_err().raw_os_error())
    };
    limit(60, || {
        assert_eq!(of_no_use(), [Some(libc::EBADF); 2]);
        each_runtime_of(&[1], |runtime| assert_eq!(runtime.run(of_no_use), [Some(libc::EBADF); 2]));
    });
}

#[test]
fn what_is_left_out_is_not_evaluated() {
    limit(60, || {
        run(|| {
            let (sender, receiver) = channel::bounded(1);
            let mut slots: Vec<u32> = Vec::new();
            for wanted in [true, false] {
                let came = select! {
                    send(&sender, slots[0]) -> sent, if !slots.is_empty() => sent.map(|()| 1).unwrap(),
                    recv(&receiver) -> value, if wanted => value.unwrap(),
                    default => 3,
                };
                assert_eq!(came, Ok(if wanted { 3 } else { 1 }));
                slots.push(7);
            }
            let nothing_left = catch_unwind(|| {
                _ = select! { sleep(SHORT), if false => (), recv(&receiver) -> _, if false => () };
            });
            let words = nothing_left.unwrap_err();
            assert!(words.downcast_ref::<&str>().unwrap().contains("it would wait for ever"));
            assert_eq!(receiver.recv(), Ok(7), "that was not touched");
            // A slot without a value is as good as left out.
            let mut slot = None::<u32>;
            assert_eq!(select! { send_from(&sender, &mut slot) -> _ => 1, sleep(SHORT) => 2 }, Ok(2));
        });
    });
}

#[test]
fn of_several_each_has_its_chance_or_the_first_has_it() {
    everywhere(|_| {
        let (sender, receiver) = channel::bounded(1);
        let always = Notification::new();
        let mut came = [0; 4];
        let mut fill = Some(());
        for _ in 0..400 {
            if let Some(()) = fill.take() {
                sender.send(()).unwrap();
            }
            always.post();
            came[select! {
                recv(&receiver) -> _ => { fill = Some(()); 0 }
                wait(&always) => 1,
                sleep(Duration::ZERO) => 2,
                default => 3,
            }
            .unwrap()] += 1;
        }
        assert!(came[..3].iter().all(|came| *came > 50) && came[3] == 0, "{came:?}");
        let mut order = Vec::new();
        for _ in 0..3 {
            select! {
                biased;
                recv(&receiver) -> _ => order.push(0),
                wait(&always), if order.len() < 2 => order.push(1),
                sleep(Duration::ZERO) => order.push(2),
            }
            .unwrap();
        }
        assert!(order == [0, 1, 2] || (fill.is_some() && order == [1, 1, 2]), "{order:?}");
    });
}

/// A value that is not sent is in its slot, however the select ends.
#[test]
fn what_is_not_sent_is_kept() {
    limit(60, || {
        each_runtime_of(&[1, 2], |runtime| {
            runtime.run(|| {
                for places in [0, 1] {
                    let (sender, receiver) = channel::bounded(places);
                    (0..places).for_each(|_| sender.send(String::new()).unwrap());
                    let mut slot = Some(String::from("kept"));
                    assert_eq!(select! { send_from(&sender, &mut slot) -> _ => 1, default => 2 }, Ok(2));
                    assert_eq!(select! { send_from(&sender, &mut slot) -> _ => 1, sleep(SHORT) => 2 }, Ok(2));
                    let late = timeout(SHORT, || Ok(select! { send_from(&sender, &mut slot) -> _ => () }?));
                    assert!(is_deadline(&late.unwrap_err()));
                    let theirs = sender.clone();
                    let cancelled = task::spawn(move || {
                        let stopped = select! { send_from(&theirs, &mut slot) -> _ => () };
                        assert_eq!(stopped, Err(SelectError::Cancelled));
                        slot
                    });
                    time::sleep(SHORT);
                    cancelled.cancel();
                    let mut slot = cancelled.join().unwrap();
                    let panics = catch_unwind(AssertUnwindSafe(|| {
                        _ = select! { sleep(SHORT) => panic!("on purpose"), send_from(&sender, &mut slot) -> _ => () };
                    }));
                    assert!(panics.is_err());
                    receiver.close();
                    let closed = select! { send_from(&sender, &mut slot) -> sent => sent };
                    assert_eq!(closed, Ok(Err(SendError::Closed("kept".into()))));
                    assert_eq!(slot, None);
                }
            });
        });
    });
}

/// Cancelled, or too late: nothing was taken, from none of them; and what comes later comes to others.
#[test]
fn a_stop_takes_nothing() {
    limit(60, || {
        everywhere(|_| {
            let (sender, receiver) = channel::unbounded();
            let (posts, quiet) = (Notification::new(), UdpSocket::bind("127.0.0.1:0").unwrap());
            let mut child = task::spawn(|| task::park_cancellable().is_err());
            let (mut ticks, started) = (interval(LONG), Instant::now());
            ticks.tick();
            let late: io::Result<()> = timeout(SHORT, || {
                let never = select! {
                    recv(&receiver) -> _ => (),
                    wait(&posts) => (),
                    join(&mut child) -> _ => (),
                    tick(&mut ticks) -> _ => (),
                    wait_readable(&quiet) -> _ => (),
                };
                assert_eq!(never, Err(SelectError::TimedOut));
                // It is delivered once.
                sender.send(1).unwrap();
                assert_eq!(select! { recv(&receiver) -> value => value }, Ok(Ok(1)));
                Ok(())
            });
            assert!(late.is_ok() && started.elapsed() >= SHORT);
            sender.send(2).unwrap();
            posts.post();
            assert!(receiver.recv() == Ok(2) && posts.try_wait());
            child.cancel();
            assert!(child.join().unwrap());
        });
        // A cancel that is pending comes before what is there.
        run(|| {
            let (sender, receiver) = channel::unbounded();
            sender.send(1).unwrap();
            let waits = task::spawn(move || {
                while !task::is_cancelled() {
                    task::yield_now();
                }
                let stopped = select! { recv(&receiver) -> _ => (), default => () };
                (stopped, select! { recv(&receiver) -> value => value.unwrap() })
            });
            waits.cancel();
            assert_eq!(waits.join().unwrap(), (Err(SelectError::Cancelled), Ok(1)));
        });
    });
}

/// Who plays a fool gets a panic, before anything waits.
#[test]
fn a_join_of_oneself_or_a_second_one_panics() {
    limit(60, || {
        run(|| {
            let mut spent = task::spawn(|| ());
            select! { join(&mut spent) -> result => result.unwrap() }.unwrap();
            let again = AssertUnwindSafe(|| _ = select! { sleep(LONG) => (), join(&mut spent) -> _ => () });
            assert!(catch_unwind(again).is_err());

            let (give, take) = channel::bounded::<task::JoinHandle<bool>>(1);
            let (give_back, take_back) = channel::bounded(1);
            let joins_itself = task::spawn(move || {
                let mut me = take.recv().unwrap();
                let joins = catch_unwind(AssertUnwindSafe(|| {
                    _ = select! { sleep(LONG) => (), join(&mut me) -> _ => () };
                }));
                give_back.send(me).unwrap();
                joins.is_err()
            });
            give.send(joins_itself).unwrap();
            assert!(take_back.recv().unwrap().join().unwrap());
        });
    });
}

/// Two that send and receive at both ends of the same channels: what one has sent the other has received.
#[test]
fn those_that_meet_agree() {
    limit(120, || {
        everywhere(|crew| {
            for channels in [1, 2] {
                const MEETINGS: usize = 400;
                const PLAYERS: usize = 4;
                let ends: Vec<_> = (0..channels).map(|_| channel::bounded::<usize>(0)).collect();
                let (met, enough) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notification::new()));
                let play = |me: usize| {
                    let (out, _) = ends[me % channels].clone();
                    let (_, input) = ends[(me + 1) % channels].clone();
                    let (met, enough) = (met.clone(), enough.clone());
                    crew.spawn(move || {
                        let (mut sent, mut received) = (Vec::new(), Vec::new());
                        loop {
                            let value = me + PLAYERS * sent.len();
                            let over = select! {
                                send(&out, value) -> result => {
                                    result.unwrap();
                                    sent.push(value);
                                    if met.fetch_add(1, Ordering::Relaxed) == MEETINGS {
                                        (0..PLAYERS).for_each(|_| enough.post());
                                    }
                                    false
                                }
                                recv(&input) -> value => {
                                    received.push(value.unwrap());
                                    false
                                }
                                wait(&enough) => true,
                            };
                            if over.unwrap() {
                                break (sent, received);
                            }
                        }
                    })
                };
                let players: Vec<_> = (0..PLAYERS).map(play).collect();
                let over = players.into_iter().map(Hand::join).collect::<Vec<_>>();
                let mut sent: Vec<_> = over.iter().flat_map(|(sent, _)| sent).copied().collect();
                let mut received: Vec<_> = over.iter().flat_map(|(_, received)| received).copied().collect();
                sent.sort_unstable();
                received.sort_unstable();
                assert_eq!(sent, received);
                assert!(sent.len() > MEETINGS);
            }
        });
    });
}
