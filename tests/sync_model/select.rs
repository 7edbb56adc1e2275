//! The first of several: one comes, what comes for the others is there for others, and two that meet agree.

use crate::sync::base::face::{AtomicUsize, Ordering, Sleeper, Stop, WaitKind, all_through};
use crate::sync::base::first::{Arm, Slot, first};
use crate::sync::base::names::Name;
use crate::sync::base::said::Kind;
use crate::sync::base::stock::{Stock, StockArm};
use crate::sync::base::waiters::How;
use crate::sync::channel::arms::{Kept, RecvArm, SendArm};
use crate::sync::channel::core::{Core, Failed, Patience};
use crate::sync::oneshot::core as oneshot;
use crate::{explore, spawn, spawn_as};
use ec_test_support::limit;
use loom::sync::Arc;
use loom::thread::JoinHandle;

const POINT: Patience = Patience { deadline: None, point: true };

static WAIT: WaitKind = WaitKind { name: "wait", cancel: None, describe: |_, _| String::new() };

type Channel = Arc<Core<u32>>;

fn channel(bound: Option<usize>) -> Channel {
    Arc::new(Core::new(bound, Name::none()))
}

fn select<const N: usize>(arms: [&mut dyn Arm; N]) -> Result<usize, Stop> {
    let slots = arms.map(Slot::new);
    first(&slots, false, &WAIT).map(|came| came.expect("it waits"))
}

/// Receives from the first of both that has something: which, and what.
fn either(left: &Channel, right: &Channel) -> Result<(usize, Option<u32>), Stop> {
    let (mut one, mut other) = (RecvArm::new(left), RecvArm::new(right));
    let came = select([&mut one, &mut other])?;
    let taken = if came == 0 { one.taken() } else { other.taken() };
    Ok((came, taken.expect("it has come").ok()))
}

fn receives(channel: &Channel) -> JoinHandle<Option<u32>> {
    let channel = channel.clone();
    spawn(move || channel.recv(POINT).ok())
}

fn sends(channel: &Channel, value: u32) -> JoinHandle<()> {
    let channel = channel.clone();
    spawn(move || channel.send(value, POINT).unwrap())
}

/// It is told of both, and takes one. The other is for one that waits there.
#[test]
fn what_comes_for_another_arm_is_for_others() {
    limit(240, || {
        for bound in [Some(1), None] {
            let ends = explore(2, move || {
                let (left, right) = (channel(bound), channel(bound));
                let waits = receives(&left);
                let (also_left, also_right) = (left.clone(), right.clone());
                let sender = spawn(move || {
                    also_right.send(2, POINT).unwrap();
                    also_left.send(1, POINT).unwrap();
                });
                let (came, value) = either(&right, &left).unwrap();
                assert_eq!(value, Some(if came == 0 { 2 } else { 1 }));
                sender.join().unwrap();
                if came == 1 {
                    left.send(3, POINT).unwrap();
                }
                waits.join().unwrap().expect("there is something for it")
            });
            assert_eq!(ends, [1, 3]);
        }
    });
}

#[test]
fn one_that_is_cancelled_takes_nothing_with_it() {
    limit(240, || {
        for bound in [Some(0), Some(1), None] {
            let ends = explore(2, move || {
                let (left, right) = (channel(bound), channel(bound));
                let who = Sleeper::new();
                let (also_left, also_right) = (left.clone(), right.clone());
                let gives_up = spawn_as(&who, move || either(&also_left, &also_right));
                let waits = receives(&left);
                who.cancel();
                left.send(1, POINT).unwrap();
                match gives_up.join().unwrap() {
                    Ok(taken) => {
                        assert_eq!(taken, (0, Some(1)));
                        left.send(2, POINT).unwrap();
                    }
                    Err(stop) => assert_eq!(stop, Stop::Cancel),
                }
                waits.join().unwrap().expect("there is something for it")
            });
            assert_eq!(ends, [1, 2]);
        }
    });
}

#[test]
fn one_that_is_left_behind_takes_nothing_with_it() {
    limit(240, || {
        let ends = explore(2, || {
            let (left, right) = (channel(None), channel(None));
            let who = Sleeper::new();
            let (also_left, also_right) = (left.clone(), right.clone());
            let is_left = spawn_as(&who, move || either(&also_left, &also_right).ok());
            let waits = receives(&left);
            left.send(1, POINT).unwrap();
            who.leave();
            // (The first may have it: then it was not waiting.)
            left.close();
            let got = waits.join().unwrap();
            all_through();
            let first = is_left.join().unwrap().and_then(|(_, value)| value);
            assert!(got.is_some() != first.is_some(), "{got:?} {first:?}");
        });
        assert_eq!(ends, [()]);
    });
}

/// One was told, and does not run any more: all others look again, those too that are just about to sleep.
#[test]
fn what_another_was_told_of_comes() {
    limit(240, || {
        let ends = explore(2, || {
            let (left, right) = (channel(None), channel(None));
            let who = Sleeper::new();
            let theirs = left.clone();
            let is_left = spawn_as(&who, move || theirs.recv(POINT).ok());
            who.until_waiting();
            let (also_left, also_right) = (left.clone(), right.clone());
            let selects = spawn(move || either(&also_left, &also_right).unwrap());
            left.send(1, POINT).unwrap();
            who.leave();
            // (One of them takes it: the other one, if it was not waiting any more as it was left.)
            while left.len() > 0 {
                loom::thread::yield_now();
            }
            left.send(2, POINT).unwrap();
            let (came, value) = selects.join().unwrap();
            all_through();
            is_left.join().unwrap();
            assert_eq!(came, 0);
            value.expect("there is something for it")
        });
        assert_eq!(ends, [1, 2]);
    });
}

/// Each of two sends to the other and receives from it: one value passes, and both know which.
#[test]
fn two_that_meet_agree() {
    limit(240, || {
        let ends = explore(2, || {
            let (left, right) = (channel(Some(0)), channel(Some(0)));
            let meets = |out: Channel, input: Channel| {
                move || {
                    let (mut sends, mut receives) =
                        (SendArm::new(&*out, Kept::Here(Some(7))), RecvArm::new(&*input));
                    let came = select([&mut sends, &mut receives]).unwrap();
                    if came == 0 {
                        assert!(sends.sent().is_ok());
                    } else {
                        assert!(matches!(receives.taken(), Some(Ok(7))));
                        assert_eq!(sends.sent(), Err(7), "it was not sent");
                    }
                    came
                }
            };
            let other = spawn(meets(right.clone(), left.clone()));
            let mine = meets(left, right)();
            (mine, other.join().unwrap())
        });
        assert_eq!(ends, [(0, 1), (1, 0)]);
    });
}

#[test]
fn one_of_two_offers_is_taken() {
    limit(240, || {
        let ends = explore(2, || {
            let (left, right) = (channel(Some(0)), channel(Some(0)));
            let others = [receives(&left), receives(&right)];
            let (mut one, mut other) =
                (SendArm::new(&*left, Kept::Here(Some(1))), SendArm::new(&*right, Kept::Here(Some(2))));
            let came = select([&mut one, &mut other]).unwrap();
            let sent = [one.sent().is_ok(), other.sent().is_ok()];
            assert_eq!(sent, [came == 0, came == 1]);
            // (Before: what was handed over is there still.)
            left.close();
            right.close();
            let got = others.map(|other| other.join().unwrap());
            assert_eq!(got, [sent[0].then_some(1), sent[1].then_some(2)]);
            came
        });
        assert_eq!(ends, [0, 1]);
    });
}

/// It is at both ends of one channel, and does not meet itself.
#[test]
fn who_offers_and_receives_meets_others() {
    limit(240, || {
        for (sends, offers_first) in [(true, true), (true, false), (false, true), (false, false)] {
            let ends = explore(2, move || {
                let channel = channel(Some(0));
                let theirs = channel.clone();
                let other = spawn(move || match sends {
                    true => theirs.send(2, POINT).map(|()| 0).map_err(|(_, failed)| failed),
                    false => theirs.recv(POINT),
                });
                let (mut send, mut recv) =
                    (SendArm::new(&*channel, Kept::Here(Some(1))), RecvArm::new(&*channel));
                let came = match offers_first {
                    true => select([&mut send, &mut recv]).unwrap() == 0,
                    false => select([&mut recv, &mut send]).unwrap() == 1,
                };
                assert_eq!(came, !sends);
                assert_eq!(other.join().unwrap().unwrap(), u32::from(!sends));
            });
            assert_eq!(ends, [()]);
        }
    });
}

/// Two that do not wait hand something over at the same time: one of them does.
#[test]
fn it_is_handed_one_thing() {
    limit(240, || {
        let ends = explore(2, || {
            let channels = [channel(Some(0)), channel(Some(0))];
            let others = [0, 1].map(|number| {
                let channel = channels[number].clone();
                spawn(move || channel.try_send(number as u32).is_ok())
            });
            let (left, right) = (channels[0].clone(), channels[1].clone());
            let waits = spawn(move || either(&left, &right).unwrap());
            let handed = others.map(|other| other.join().unwrap());
            let number = handed.iter().filter(|handed| **handed).count();
            if number == 0 {
                channels[0].close();
            }
            let (came, value) = waits.join().unwrap();
            assert!(number <= 1, "it takes one");
            assert_eq!(value, handed.iter().position(|handed| *handed).map(|number| number as u32));
            assert!(value.is_none_or(|value| value as usize == came));
            number
        });
        assert_eq!(ends, [0, 1]);
    });
}

/// Somebody has been told that it has it.
#[test]
fn what_is_handed_to_it_is_taken() {
    limit(240, || {
        let ends = explore(2, || {
            let (meeting, queue) = (channel(Some(0)), channel(None));
            let theirs = meeting.clone();
            let hands = spawn(move || theirs.try_send(1).is_ok());
            let other = sends(&queue, 2);
            let (came, _) = either(&queue, &meeting).unwrap();
            let handed = hands.join().unwrap();
            other.join().unwrap();
            assert_eq!(came == 1, handed);
            handed
        });
        assert_eq!(ends, [false, true]);
    });
}

/// Its sender does not take it again, nor one that comes later, nor an end; and a cancel does not keep it.
#[test]
fn what_is_handed_to_it_is_nobody_elses() {
    limit(240, || {
        let ends = explore(2, || {
            let (left, right) = (channel(Some(0)), channel(Some(0)));
            let who = Sleeper::new();
            let (also_left, also_right) = (left.clone(), right.clone());
            let waits = spawn_as(&who, move || either(&also_left, &also_right));
            let theirs = right.clone();
            let comes = spawn(move || theirs.try_recv().ok());
            let handed = right.try_send(1).is_ok();
            assert!(right.try_recv().is_err());
            who.cancel();
            right.close();
            assert_eq!(comes.join().unwrap(), None);
            match waits.join().unwrap() {
                Ok(came) => assert_eq!(came, (1, handed.then_some(1))),
                Err(stop) => assert!(stop == Stop::Cancel && !handed),
            }
            handed
        });
        assert_eq!(ends, [false, true]);
    });
}

/// What was handed to it is for one that waits, and is told of nothing else.
#[test]
fn what_is_handed_to_one_that_is_left_behind_is_for_others() {
    limit(240, || {
        let ends = explore(2, || {
            let (left, right) = (channel(Some(0)), channel(Some(0)));
            let got = Arc::new(AtomicUsize::new(0));
            let who = Sleeper::new();
            let waiting = [who.clone(), Sleeper::new()].map(|who| {
                let (left, right, got) = (left.clone(), right.clone(), got.clone());
                spawn_as(&who, move || {
                    let value = either(&left, &right).ok().and_then(|(_, value)| value);
                    got.fetch_add(value.map_or(0, |_| 1), Ordering::SeqCst);
                    value
                })
            });
            who.until_waiting();
            let handed = right.try_send(1).is_ok();
            who.leave();
            if !handed {
                right.send(1, POINT).unwrap();
            }
            while got.load(Ordering::SeqCst) == 0 {
                loom::thread::yield_now();
            }
            right.close();
            let [first, other] = waiting;
            let other = other.join().unwrap();
            all_through();
            assert_eq!(first.join().unwrap().is_none(), other.is_some());
            other.is_some()
        });
        assert_eq!(ends, [false, true]);
    });
}

/// One that waits for nothing else is told as well.
#[test]
fn a_post_comes() {
    limit(240, || {
        let ends = explore(3, || {
            let (posts, values) = (Arc::new(Stock::new(0)), channel(None));
            let also_posts = posts.clone();
            let poster = spawn(move || also_posts.add(1));
            let (mut post, mut value) =
                (StockArm::new(&posts, &WAIT, (Kind::Notification, &Name)), RecvArm::new(&*values));
            assert_eq!(select([&mut post, &mut value]), Ok(0));
            assert!(poster.join().unwrap());
            assert_eq!(posts.state(), (0, 0));
        });
        assert_eq!(ends, [()]);
    });
}

/// A post that it has its turn for, and does not take, is for the next in line.
#[test]
fn a_post_that_is_not_taken_is_for_the_next() {
    limit(240, || {
        let ends = explore(2, || {
            let (posts, values) = (Arc::new(Stock::new(0)), channel(None));
            let (also_posts, also_values) = (posts.clone(), values.clone());
            let poster = spawn(move || {
                also_values.send(1, POINT).unwrap();
                also_posts.add(1);
            });
            let also_posts = posts.clone();
            let waits = spawn(move || {
                let how = How { point: true, ..How::new(&WAIT, 0) };
                also_posts.take(1, || how).unwrap()
            });
            let (mut post, mut value) =
                (StockArm::new(&posts, &WAIT, (Kind::Notification, &Name)), RecvArm::new(&*values));
            let came = select([&mut post, &mut value]).unwrap();
            if came == 0 {
                posts.add(1);
            }
            assert!(waits.join().unwrap());
            poster.join().unwrap();
            assert_eq!((posts.there(), values.len()), (0, 1 - came));
            came
        });
        assert_eq!(ends, [0, 1]);
    });
}

/// As it takes a post somebody takes what it offers: one of both. The post that it has its turn for, and does not take, is for the next.
#[test]
fn it_takes_a_post_or_what_it_offers_is_taken() {
    limit(240, || {
        let ends = explore(1, || {
            let (posts, values) = (Arc::new(Stock::new(0)), channel(Some(0)));
            let who = Sleeper::new();
            let (also_posts, also_values) = (posts.clone(), values.clone());
            let selects = spawn_as(&who, move || {
                let (mut post, mut send) = (
                    StockArm::new(&also_posts, &WAIT, (Kind::Notification, &Name)),
                    SendArm::new(&*also_values, Kept::Here(Some(1))),
                );
                let came = select([&mut post, &mut send]).unwrap();
                assert_eq!(send.sent().is_ok(), came == 1);
                came
            });
            who.until_waiting();
            let also_posts = posts.clone();
            let waits = spawn(move || {
                let how = How { point: true, ..How::new(&WAIT, 0) };
                also_posts.take(1, || how).unwrap()
            });
            let other = receives(&values);
            assert!(posts.add(1));
            let came = selects.join().unwrap();
            if came == 0 {
                posts.add(1);
            }
            assert!(waits.join().unwrap());
            values.close();
            assert_eq!(other.join().unwrap(), (came == 1).then_some(1));
            assert_eq!(posts.there(), 0);
            came
        });
        assert_eq!(ends, [0, 1]);
    });
}

#[test]
fn all_that_wait_are_let_go() {
    limit(240, || {
        let ends = explore(3, || {
            let (posts, values) = (Arc::new(Stock::new(0)), channel(None));
            let also_posts = posts.clone();
            let who = Sleeper::new();
            let (all, also_who) = (posts.clone(), who.clone());
            let waits = spawn_as(&who, move || {
                let (mut post, mut value) =
                    (StockArm::new(&also_posts, &WAIT, (Kind::Notification, &Name)), RecvArm::new(&*values));
                select([&mut post, &mut value]).unwrap()
            });
            also_who.until_waiting();
            all.dismiss_all();
            assert_eq!(waits.join().unwrap(), 0);
            assert_eq!(posts.state(), (0, 0));
        });
        assert_eq!(ends, [()]);
    });
}

#[test]
fn a_oneshot_or_a_channel() {
    limit(240, || {
        let ends = explore(3, || {
            let (reply, values) = (Arc::new(oneshot::Core::<u32>::new()), channel(Some(1)));
            let theirs = reply.clone();
            let sender = spawn(move || theirs.send(1).unwrap());
            let other = sends(&values, 2);
            let (mut one, mut many) = (oneshot::RecvArm::new(&reply, &WAIT, &Name), RecvArm::new(&*values));
            let came = select([&mut one, &mut many]).unwrap();
            let got = if came == 0 { one.taken() } else { many.taken() };
            assert!(matches!(got, Some(Ok(value)) if value as usize == came + 1));
            sender.join().unwrap();
            other.join().unwrap();
            let left = if came == 0 { values.try_recv() } else { reply.take().expect("it was sent") };
            assert!(matches!(left, Ok(value) if value as usize == 2 - came));
            came
        });
        assert_eq!(ends, [0, 1]);
    });
}

/// One that closes it, and one that does not come.
#[test]
fn the_end_of_a_channel_comes() {
    limit(240, || {
        for bound in [Some(0), Some(1), None] {
            let ends = explore(3, move || {
                let (left, right) = (channel(bound), channel(bound));
                let theirs = left.clone();
                let closes = spawn(move || theirs.close());
                if bound == Some(0) {
                    let (mut send, mut recv) =
                        (SendArm::new(&*left, Kept::Here(Some(1))), RecvArm::new(&*right));
                    assert_eq!(select([&mut send, &mut recv]), Ok(0));
                    assert_eq!(send.sent(), Err(1));
                } else {
                    assert_eq!(either(&left, &right), Ok((0, None)));
                }
                assert!(closes.join().unwrap());
                matches!(left.recv(POINT), Err(Failed::Closed))
            });
            assert_eq!(ends, [true]);
        }
    });
}

/// What it was told of is taken by somebody quicker. It looks, and waits again: that is one wait, and those that wait are let go.
#[test]
fn one_that_looks_meanwhile_is_let_go() {
    limit(240, || {
        for bound in [Some(0), Some(1), None] {
            let ends = explore(2, move || {
                let (posts, values) = (Arc::new(Stock::new(0)), channel(bound));
                let who = Sleeper::new();
                let (also_posts, also_values) = (posts.clone(), values.clone());
                let waits = spawn_as(&who, move || {
                    let (mut value, mut post) = (
                        RecvArm::new(&*also_values),
                        StockArm::new(&also_posts, &WAIT, (Kind::Notification, &Name)),
                    );
                    let came = select([&mut value, &mut post]).unwrap();
                    (came, value.taken().is_some())
                });
                who.until_waiting();
                values.try_send(1).unwrap();
                let taken_back = values.try_recv().is_ok();
                // (If nothing was taken back it has got that, or will.)
                posts.dismiss_all();
                let (came, has_received) = waits.join().unwrap();
                assert_eq!(has_received, came == 0);
                let left = values.try_recv().is_ok();
                assert!(u8::from(taken_back) + u8::from(has_received) + u8::from(left) == 1);
                assert_eq!(posts.state(), (0, 0));
                (came, taken_back)
            });
            match bound {
                // (What is handed over there is taken by nobody else.)
                Some(0) => assert_eq!(ends, [(0, false)]),
                _ => assert!(ends.contains(&(1, true)) && ends.contains(&(0, false)), "{bound:?}: {ends:?}"),
            }
        }
    });
}

/// The first arm goes first, if both have come. The post is for the next in line.
#[test]
fn what_stands_first_goes_before_a_post() {
    limit(240, || {
        let ends = explore(2, || {
            let (posts, values) = (Arc::new(Stock::new(0)), channel(Some(1)));
            let who = Sleeper::new();
            let (also_posts, also_values) = (posts.clone(), values.clone());
            let selects = spawn_as(&who, move || {
                let (mut value, mut post) = (
                    RecvArm::new(&*also_values),
                    StockArm::new(&also_posts, &WAIT, (Kind::Notification, &Name)),
                );
                select([&mut value, &mut post]).unwrap()
            });
            who.until_waiting();
            let also_posts = posts.clone();
            let waits = spawn(move || {
                let how = How { point: true, ..How::new(&WAIT, 0) };
                also_posts.take(1, || how).unwrap()
            });
            values.send(1, POINT).unwrap();
            assert!(posts.add(1));
            assert_eq!(selects.join().unwrap(), 0);
            assert!(waits.join().unwrap());
            assert_eq!(posts.state(), (0, 0));
        });
        assert_eq!(ends, [()]);
    });
}

/// It may have its turn by then, and may be taken out of the line while it looks.
#[test]
fn a_post_for_one_that_is_left_behind_is_for_the_next() {
    limit(240, || {
        let ends = explore(1, || {
            let (posts, values) = (Arc::new(Stock::new(0)), channel(None));
            let who = Sleeper::new();
            let (also_posts, also_values) = (posts.clone(), values.clone());
            let is_left = spawn_as(&who, move || {
                let (mut value, mut post) = (
                    RecvArm::new(&*also_values),
                    StockArm::new(&also_posts, &WAIT, (Kind::Notification, &Name)),
                );
                select([&mut value, &mut post]).ok()
            });
            who.until_waiting();
            let also_posts = posts.clone();
            let waits = spawn(move || {
                let how = How { point: true, ..How::new(&WAIT, 0) };
                also_posts.take(1, || how).unwrap()
            });
            assert!(posts.add(1));
            who.leave();
            // (It may have been quicker, before it was left: then there is another one.)
            while posts.there() > 0 {
                loom::thread::yield_now();
            }
            assert!(posts.add(1));
            assert!(waits.join().unwrap());
            all_through();
            let taken = is_left.join().unwrap();
            assert!(matches!(taken, None | Some(1)));
            assert_eq!(posts.there(), usize::from(taken.is_none()));
            taken.is_some()
        });
        assert_eq!(ends, [false, true]);
    });
}

/// One before it in line had its turn, and does not run any more.
#[test]
fn a_post_that_another_was_told_of_comes() {
    limit(240, || {
        let ends = explore(1, || {
            let (posts, values) = (Arc::new(Stock::new(0)), channel(None));
            let [first, second] = [Sleeper::new(), Sleeper::new()];
            let theirs = posts.clone();
            let is_left = spawn_as(&first, move || {
                let how = How { point: true, ..How::new(&WAIT, 0) };
                theirs.take(1, || how).is_ok()
            });
            first.until_waiting();
            let (also_posts, also_values) = (posts.clone(), values.clone());
            let selects = spawn_as(&second, move || {
                let (mut value, mut post) = (
                    RecvArm::new(&*also_values),
                    StockArm::new(&also_posts, &WAIT, (Kind::Notification, &Name)),
                );
                select([&mut value, &mut post]).unwrap()
            });
            second.until_waiting();
            assert!(posts.add(1));
            first.leave();
            // (It may have been quicker, before it was left: then there is another one.)
            while posts.there() > 0 {
                loom::thread::yield_now();
            }
            assert!(posts.add(1));
            assert_eq!(selects.join().unwrap(), 1);
            let left = posts.there();
            all_through();
            // (It goes on here, and takes what is left.)
            assert!(is_left.join().unwrap());
            left
        });
        assert_eq!(ends, [0, 1]);
    });
}

/// From when it has begun, wherever it is.
#[test]
fn one_that_has_begun_is_let_go() {
    limit(240, || {
        let ends = explore(3, || {
            let (posts, values) = (Arc::new(Stock::new(0)), channel(None));
            let (mut value, mut post) =
                (RecvArm::new(&*values), StockArm::new(&posts, &WAIT, (Kind::Notification, &Name)));
            let all = posts.clone();
            let lets_go = spawn(move || all.dismiss_all());
            assert_eq!(select([&mut value, &mut post]), Ok(1));
            lets_go.join().unwrap();
            assert_eq!(posts.state(), (0, 0));
        });
        assert_eq!(ends, [()]);
    });
}
