//! Handlers of the program's own below those of who waits: they are called as the kernel would call them. And what ours need themselves.

mod common;

use common::signals::{
    BELOW, ONE, OTHER, SOON, WithInfo, action, called, calls_below, dispose, disposition, next, plain, raise,
    with_info,
};
use common::{each_driver, none_for};
use ec_channel::{EventChannel, Request};
use ec_test_support::{alone, descriptors_of, in_child, limit, went_well};
use ec_unkind as _;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

fn set_of(signals: &[i32]) -> libc::sigset_t {
    let mut set = MaybeUninit::uninit();
    // SAFETY: room for a set.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        signals.iter().for_each(|signal| _ = libc::sigaddset(set.as_mut_ptr(), *signal));
        set.assume_init()
    }
}

/// The mask before.
fn mask(how: i32, signals: &[i32]) -> libc::sigset_t {
    let mut before = MaybeUninit::uninit();
    // SAFETY: a live set, and room for another one.
    unsafe {
        assert_eq!(libc::pthread_sigmask(how, &set_of(signals), before.as_mut_ptr()), 0);
        before.assume_init()
    }
}

/// As a program finds it that was stopped, and has been sent some by then. The stack that std gives a thread for signals has room for two
/// frames, where processors have many registers.
#[test]
fn signals_that_come_together_need_no_more_stack_than_one() {
    limit(120, || {
        went_well(in_child("signals_that_come_together_need_no_more_stack_than_one", || {
            let all: Vec<i32> = (libc::SIGRTMIN() + 1..=libc::SIGRTMIN() + 25).collect();
            let channel = EventChannel::new().unwrap();
            channel.post(Request::signals(all.iter().copied()).unwrap()).unwrap();
            mask(libc::SIG_BLOCK, &all);
            all.iter().for_each(|signal| raise(*signal));
            mask(libc::SIG_UNBLOCK, &all);
            let mut came: Vec<i32> = all.iter().map(|_| next(&channel).number).collect();
            came.sort_unstable();
            assert_eq!(came, all);
        }))
    });
}

/// Also the one that ends calls.
#[test]
fn the_channel_s_own_signal_is_not_interrupted() {
    limit(120, || {
        went_well(in_child("the_channel_s_own_signal_is_not_interrupted", || {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            let _near = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            ec_channel::accept_now(std::os::fd::AsFd::as_fd(&listener)).unwrap();
            let all = libc::SIGRTMIN()..=libc::SIGRTMAX();
            let own: Vec<_> = all.filter(|it| disposition(*it).sa_sigaction != libc::SIG_DFL).collect();
            assert_eq!(own.len(), 1);
            // SAFETY: a set that the kernel has filled.
            let is_kept_out =
                |signal: &i32| unsafe { libc::sigismember(&disposition(own[0]).sa_mask, *signal) == 1 };
            let others = [libc::SIGTERM, libc::SIGUSR1, libc::SIGALRM, libc::SIGRTMIN() + 1];
            assert!(others.iter().all(is_kept_out));
        }))
    });
}

/// What a handler has found: the signals that it keeps out, and whether it is on the stack for signals (bit 0, which is no signal).
static SEEN: AtomicU64 = AtomicU64::new(0);

extern "C" fn looks(_signal: i32) {
    let (mut now, mut stack) = (MaybeUninit::uninit(), MaybeUninit::<libc::stack_t>::uninit());
    // SAFETY: room for both answers.
    let (now, stack) = unsafe {
        libc::pthread_sigmask(libc::SIG_BLOCK, ptr::null(), now.as_mut_ptr());
        libc::sigaltstack(ptr::null(), stack.as_mut_ptr());
        (now.assume_init(), stack.assume_init())
    };
    let on_stack = u64::from(stack.ss_flags & libc::SS_ONSTACK != 0);
    // SAFETY: a set that the kernel has filled.
    let kept_out = (1..=64).filter(|signal| unsafe { libc::sigismember(&now, *signal) } == 1);
    SEEN.store(
        kept_out.fold(on_stack, |seen, signal| seen | 1u64.rotate_left(signal as u32)),
        Ordering::SeqCst,
    );
}

#[test]
fn a_handler_has_the_stack_and_the_mask_that_it_has_asked_for() {
    alone(30, || {
        let seen = || {
            raise(OTHER);
            SEEN.swap(0, Ordering::SeqCst)
        };
        let mut all = Vec::new();
        for flags in [0, libc::SA_ONSTACK, libc::SA_NODEFER, libc::SA_ONSTACK | libc::SA_RESTART] {
            for kept_out in [&[][..], &[libc::SIGTERM, libc::SIGRTMIN() + 3]] {
                let mut asked = action(looks as *const () as usize, flags);
                asked.sa_mask = set_of(kept_out);
                let old = dispose(OTHER, &asked);
                let alone = seen();
                let waits = Request::signal(OTHER).unwrap();
                assert_eq!(seen(), alone, "flags {flags:x}, mask {kept_out:?}");
                let restarts = |action: libc::sigaction| action.sa_flags & libc::SA_RESTART;
                assert_eq!(restarts(disposition(OTHER)), restarts(asked));
                drop(waits);
                assert_eq!(seen(), alone);
                dispose(OTHER, &old);
                all.push(alone);
            }
        }
        // (The machine makes the differences that this is about.)
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 6, "{all:x?}");
    });
}

/// `SA_RESETHAND`. (By default this signal is ignored.)
#[test]
fn a_handler_that_is_to_be_called_once_is_called_once() {
    alone(30, || {
        let signal = libc::SIGURG;
        let old = disposition(signal);
        each_driver(|channel| {
            for (handler, flags) in
                [(plain as *const () as usize, 0), (with_info as *const () as usize, libc::SA_SIGINFO)]
            {
                let once = action(handler, flags | libc::SA_RESETHAND);
                dispose(signal, &once);
                let id = channel.post(Request::signal(signal).unwrap()).unwrap();
                let calls = called(|| (0..3).for_each(|_| raise(signal)));
                assert_eq!((calls, next(&channel).occurrences), (1, 3));
                // What lies over the default lets nothing in between.
                let kept_out = disposition(signal);
                // SAFETY: a set that the kernel has filled.
                assert_eq!(unsafe { libc::sigismember(&kept_out.sa_mask, libc::SIGTERM) }, 1);
                channel.cancel(id);
                drop(channel.get_event().unwrap());
                assert_eq!(disposition(signal).sa_sigaction, libc::SIG_DFL);
                assert_eq!(called(|| raise(signal)), 0);
                // It has not come: it is as it was. And the kernel calls it once.
                dispose(signal, &once);
                drop(Request::signal(signal).unwrap());
                let now = disposition(signal);
                assert!(now.sa_sigaction == handler && now.sa_flags & libc::SA_RESETHAND != 0);
                assert_eq!(called(|| (0..2).for_each(|_| raise(signal))), 1);
                // Set anew it is called anew.
                dispose(signal, &once);
                let _waits = Request::signal(signal).unwrap();
                assert_eq!(called(|| (0..2).for_each(|_| raise(signal))), 1);
            }
        });
        dispose(signal, &old);
    });
}

/// Handlers of the program's that each call what they have found; and how often they are called.
static FOUND: [AtomicUsize; 2] = [const { AtomicUsize::new(0) }; 2];
static CALLS: [AtomicUsize; 2] = [const { AtomicUsize::new(0) }; 2];

extern "C" fn chained<const N: usize>(signal: i32, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    let found = FOUND[N].load(Ordering::SeqCst);
    // (Ten times is for ever.)
    if CALLS[N].fetch_add(1, Ordering::SeqCst) < 10 && found > 1 {
        // SAFETY: what is noted there takes these.
        unsafe { std::mem::transmute::<usize, WithInfo>(found)(signal, info, context) };
    }
}

fn chain<const N: usize>() {
    let handler: WithInfo = chained::<N>;
    let found = dispose(ONE, &action(handler as usize, libc::SA_SIGINFO));
    FOUND[N].store(found.sa_sigaction, Ordering::SeqCst);
}

/// A program whose handlers each call the one that they have found ignores the signal for a while, as system(3) does, or puts one back that
/// was there before. Whoever waits then hears, and each handler is called once.
#[test]
fn no_handler_comes_to_call_itself() {
    let case = |ignores: bool, keeps: bool| {
        let channel = EventChannel::new().unwrap();
        let wait = || Request::signal(ONE).unwrap();
        let mut kept = vec![wait()];
        let first = disposition(ONE);
        chain::<0>();
        kept.push(wait());
        chain::<1>();
        if !keeps {
            kept.clear();
        }
        let meanwhile = if ignores { action(libc::SIG_IGN, 0) } else { first };
        let mine = dispose(ONE, &meanwhile);
        kept.push(wait());
        dispose(ONE, &mine);
        if !keeps {
            kept.clear();
        }
        channel.post(wait()).unwrap();
        raise(ONE);
        assert_eq!(next(&channel).occurrences, 1);
        let calls = || CALLS.each_ref().map(|calls| calls.load(Ordering::SeqCst));
        assert_eq!(calls(), [1, 1], "ignored {ignores}, kept {keeps}");
        // As it was before: what lies below it is called as before.
        dispose(ONE, &first);
        kept.push(wait());
        raise(ONE);
        assert_eq!((next(&channel).occurrences, calls()), (1, [1, 1]));
    };
    for (number, (ignores, keeps)) in
        [(true, true), (true, false), (false, true), (false, false)].into_iter().enumerate()
    {
        let name = "no_handler_comes_to_call_itself";
        // (Each in a process of its own: what the program may know of a signal's handlers stays.)
        if std::env::var("EC_TEST_CASE").as_deref() == Ok(name) {
            if std::env::var("EC_CASE_NUMBER").as_deref() == Ok(number.to_string().as_str()) {
                limit(30, || case(ignores, keeps));
            }
            continue;
        }
        let mut again = ec_test_support::this_test_again(name).unwrap();
        let output = limit(60, || again.env("EC_CASE_NUMBER", number.to_string()).output().unwrap());
        went_well(Some(output));
    }
}

/// The one that the program sets for a while calls what it has found, time and again, and whoever comes meanwhile waits.
#[test]
fn a_handler_may_come_and_go_as_often_as_it_likes() {
    alone(30, || {
        let signal = libc::SIGWINCH;
        let old = disposition(signal);
        let channel = EventChannel::new().unwrap();
        channel.post(Request::signal(signal).unwrap()).unwrap();
        for _ in 0..50 {
            let found = dispose(signal, &action(calls_below as *const () as usize, libc::SA_SIGINFO));
            BELOW.store(found.sa_sigaction, Ordering::SeqCst);
            let second = EventChannel::new().unwrap();
            second.post(Request::signal(signal).unwrap()).unwrap();
            assert_eq!(called(|| raise(signal)), 1);
            assert_eq!((next(&channel).occurrences, next(&second).occurrences), (1, 1));
            // (They hear of it again from when somebody waits anew.)
            dispose(signal, &found);
            drop(Request::signal(signal).unwrap());
            assert_eq!(called(|| raise(signal)), 0);
            assert_eq!((next(&channel).occurrences, next(&second).occurrences), (1, 1));
        }
        none_for(&channel, SOON);
        drop(channel);
        assert_eq!(disposition(signal).sa_sigaction, old.sa_sigaction);
    });
}

/// Whoever shares the bell of who waits (a child that shares descriptors) may have made it block; one of fork(2) does not even have it.
#[test]
fn nobody_waits_for_a_bell_that_another_process_has_made_to_block() {
    alone(60, || {
        each_driver(|channel| {
            let before = descriptors_of(&["[eventfd]"]);
            let (signal, (poster, posts)) = (Request::signal(ONE).unwrap(), Request::signal_posts().unwrap());
            let bells: Vec<i32> = descriptors_of(&["[eventfd]"]).difference(&before).copied().collect();
            assert_eq!(bells.len(), 2);
            // SAFETY: the child makes system calls, and ends.
            let child = unsafe { libc::fork() };
            if child == 0 {
                // SAFETY: no pointer is passed.
                let is_there = |fd: &i32| unsafe { libc::fcntl(*fd, libc::F_GETFD) >= 0 };
                // SAFETY: as above.
                unsafe { libc::_exit(bells.iter().filter(|fd| is_there(fd)).count() as i32) };
            }
            let mut status = 0;
            // SAFETY: a live int.
            assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
            assert_eq!(status, 0, "the child has bells of its parent's");
            for fd in bells {
                // SAFETY: no pointer is passed.
                let set = unsafe {
                    let mode = libc::fcntl(fd, libc::F_GETFL);
                    libc::fcntl(fd, libc::F_SETFL, mode & !libc::O_NONBLOCK)
                };
                assert_eq!(set, 0);
            }
            let ids = [channel.post(signal.token(1)).unwrap(), channel.post(posts.token(2)).unwrap()];
            none_for(&channel, SOON);
            raise(ONE);
            assert_eq!(next(&channel).occurrences, 1);
            poster.post();
            // (One request at a time: there the first is in the way.)
            channel.cancel(ids[0]);
            let mut tokens = [channel.get_event().unwrap().token(), channel.get_event().unwrap().token()];
            tokens.sort_unstable();
            assert_eq!(tokens, [1, 2]);
            none_for(&channel, SOON);
        })
    });
}
