//! Who leads, follows, sleeps and serves, over all orders of their steps: as `get.rs`, `lead.rs`, `waiting.rs`, `ports/mod.rs` and `serve.rs` have
//! them. Tasks that wait outside of the port are abandoned at any moment; a pool begins and ceases to serve at any moment.
//!
//! A step is what happens under one lock, or one operation on the alarm, on the queue of what is ready, or on the word that says who sleeps.
//! No end is allowed in which an event is there, and somebody who could get it sleeps; nor one in which the channel has ended, and somebody
//! sleeps; nor one in which what is for all who wait lies before one that sleeps. Each guard that the protocol relies on is taken away in turn: then there must be such an end. (In a build with debug checks the
//! small scenarios only: the others are millions of states.)

use std::collections::HashSet;

const GETTERS: usize = 3;
/// The driver that is not a getter.
const SERVER: usize = GETTERS;

/// Where a getter or the pool is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum At {
    /// About to look at the queue.
    Look,
    /// Something is there, and it has stood up from its seat, to take that.
    Stands,
    /// Has taken an event, which counts as taken in a moment.
    Counts,
    /// Has found nothing: looks whether the channel has ended.
    Decides,
    /// Leads, or follows.
    Waits,
    /// Leads: says that it is about to sleep.
    Marks,
    /// Looks into the queue once more; the next step is without sleep if something is there.
    Checks,
    /// Leads: about to make a pass.
    Pass,
    /// As that, and does not sleep in it.
    Glance,
    /// A task that leads: nothing was there.
    GoesOutside,
    ChecksOutside,
    Announces,
    /// Has announced its sleep, and looks into the inbox once more.
    LooksAgain,
    /// In the kernel. (A thread and the pool hold the right to drive meanwhile.)
    Sleeps,
    /// Takes its announcement back.
    Wakes,
    ComesInside,
    /// Has joined those who follow, and looks into the queue once more.
    Joined,
    Follows,
    /// Gives the lead back, or hands on what it was called for.
    Leaves,
    /// Has an event, or has ended.
    Done,
}
use At::*;

/// What a getter has of what is for all.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Seat {
    /// It does not wait.
    Free,
    /// It sits.
    Empty,
    /// Something lies there.
    Laid,
    /// It has stood up for a moment, and something was laid there meanwhile, or not.
    Left(bool),
}
use Seat::*;

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct World {
    getters: [At; GETTERS],
    seats: [Seat; GETTERS],
    called: [bool; GETTERS],
    /// They have followed.
    followed: [bool; GETTERS],
    server: At,
    /// Their runtime has ended: tasks that sleep never run again.
    stopped: bool,
    told: bool,
    inbox: u8,
    queue: u8,
    /// Posted to the inbox, and not rung for yet.
    to_ring: bool,
    /// Put into the queue, and not looked yet who sleeps.
    to_wake: bool,
    /// Laid on the seats, and nobody has been called for that yet.
    to_call: bool,
    /// Nothing more is posted.
    shut: bool,
    /// Posted, and not counted as taken.
    pending: u8,
    to_post: u8,
    to_notify: u8,
    to_lay: u8,
    bell: bool,
    /// Of the alarm: who has announced last, whether he counts as asleep, whether somebody has called.
    announced: usize,
    asleep: bool,
    sticky: bool,
    /// Who makes a pass.
    drives: Option<usize>,
    /// Who leads, and whether outside.
    leader: Option<(usize, bool)>,
    /// The leader is about to sleep, or has just slept.
    marked: bool,
    served: bool,
    following: Few,
    come: Few,
}

/// Getters, in an order.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, Debug)]
struct Few {
    len: usize,
    who: [usize; GETTERS],
}

impl Few {
    fn push(&mut self, who: usize) {
        self.who[self.len] = who;
        self.len += 1;
    }

    fn pop_first(&mut self) -> Option<usize> {
        let first = self.who[..self.len].first().copied()?;
        self.remove(first);
        Some(first)
    }

    fn remove(&mut self, who: usize) {
        let left = self.who.into_iter().take(self.len).filter(|it| *it != who);
        *self = left.fold(Few::default(), |mut few, it| {
            few.push(it);
            few
        });
    }
}

/// What the protocol relies on.
#[derive(Clone, Copy)]
struct Guards {
    /// Who wakes up takes back only his own announcement.
    awake_is_ones_own: bool,
    /// Who has announced his sleep looks into the inbox again.
    looks_again: bool,
    /// A pool that begins to serve calls a leader that sleeps outside.
    serve_calls_outside: bool,
    /// Nobody goes outside while a pool serves.
    outside_looks_whether_served: bool,
    /// A leader outside that is gone leads no more.
    gone_leader_is_passed_over: bool,
    /// One that is gone is not called.
    gone_follower_is_passed_over: bool,
    /// A runtime that has ended has the channel look.
    end_is_told: bool,
    /// Then those who were called and are gone are not waited for.
    gone_callee_is_taken_out: bool,
    /// Who goes outside after the end of his runtime has another one lead.
    late_one_hands_on: bool,
    /// When a pool ceases to serve, one is called to lead.
    last_of_serving_calls: bool,
    /// A leader that was taken for gone does not end another's lead.
    lead_is_ones_own: bool,
    /// What is put into the queue of a leader that is in the kernel wakes him.
    leader_is_woken: bool,
    /// A leader that is about to sleep looks into the queue once more.
    leader_looks_into_queue: bool,
    /// So does one that follows.
    follower_looks_into_queue: bool,
    /// Who is about to sleep looks whether the channel has ended.
    sleeper_looks_whether_ended: bool,
    /// Who has followed calls others when it leaves: it may have been called to lead.
    follower_hands_on: bool,
    /// So does who has led outside: it may have heard a call that was for the next leader.
    outside_hands_on: bool,
    /// Who comes back from outside, and finds that another one leads, calls it: it may have heard a call that was for that one's seat.
    outside_calls_next_leader: bool,
    /// As long as something lies on seats, whoever releases the lock calls the leader: another one may have heard the call for its seat.
    leader_is_called_for_its_seat: bool,
    /// Whoever takes the last event of a channel that was shut down says so.
    last_tells: bool,
    /// Who is about to sleep looks at its seat once more.
    sleeper_looks_at_its_seat: bool,
    /// When something is for all, all are called, the leader as well.
    all_are_called: bool,
    /// Who stands up for what is gone has what was laid meanwhile.
    who_stands_gets: bool,
    /// That counts as soon as it is laid.
    who_stands_counts: bool,
    /// And no more, when who stands has something else.
    who_stands_gives_back: bool,
    /// What lies on the seat of one that is gone counts as taken.
    gone_seat_is_cleared: bool,
}

const ALL: Guards = Guards {
    awake_is_ones_own: true,
    looks_again: true,
    serve_calls_outside: true,
    outside_looks_whether_served: true,
    gone_leader_is_passed_over: true,
    gone_follower_is_passed_over: true,
    end_is_told: true,
    gone_callee_is_taken_out: true,
    late_one_hands_on: true,
    last_of_serving_calls: true,
    lead_is_ones_own: true,
    leader_is_woken: true,
    leader_looks_into_queue: true,
    follower_looks_into_queue: true,
    sleeper_looks_whether_ended: true,
    follower_hands_on: true,
    outside_hands_on: true,
    outside_calls_next_leader: true,
    leader_is_called_for_its_seat: true,
    last_tells: true,
    sleeper_looks_at_its_seat: true,
    all_are_called: true,
    who_stands_gets: true,
    who_stands_counts: true,
    who_stands_gives_back: true,
    gone_seat_is_cleared: true,
};

/// The first so many getters are tasks, the others threads.
#[derive(Clone, Copy)]
struct Scenario {
    tasks: usize,
    threads: usize,
    posts: u8,
    notifies: u8,
    lays: u8,
    serves: bool,
    stops: bool,
    shuts: bool,
}

struct Model {
    scenario: Scenario,
    guards: Guards,
}

impl Model {
    fn start(&self) -> World {
        let s = self.scenario;
        let mut getters = [Done; GETTERS];
        getters[..s.tasks + s.threads].fill(Look);
        World {
            getters,
            seats: [Free; GETTERS],
            called: [false; GETTERS],
            followed: [false; GETTERS],
            server: if s.serves { Look } else { Done },
            stopped: false,
            told: false,
            inbox: 0,
            queue: 0,
            to_ring: false,
            to_wake: false,
            to_call: false,
            shut: false,
            pending: 0,
            to_post: s.posts,
            to_notify: s.notifies,
            to_lay: s.lays,
            bell: false,
            announced: usize::MAX,
            asleep: false,
            sticky: false,
            drives: None,
            leader: None,
            marked: false,
            served: false,
            following: Few::default(),
            come: Few::default(),
        }
    }

    fn is_task(&self, who: usize) -> bool {
        who < self.scenario.tasks
    }

    fn is_gone(&self, w: &World, who: usize) -> bool {
        w.stopped && self.is_task(who)
    }

    fn leader(&self, w: &World) -> Option<(usize, bool)> {
        let gone = |who, outside| self.guards.gone_leader_is_passed_over && outside && self.is_gone(w, who);
        w.leader.filter(|&(who, outside)| !gone(who, outside))
    }

    fn call(&self, w: &mut World) {
        w.bell |= w.asleep;
        (w.asleep, w.sticky) = (false, true);
    }

    fn needed(&self, w: &World) -> usize {
        let leads = usize::from(self.leader(w).is_none() && !w.served);
        (usize::from(w.queue) + leads).saturating_sub(w.come.len)
    }

    fn ended(&self, w: &World) -> bool {
        w.shut && w.pending == 0
    }

    fn release(&self, w: &mut World) {
        self.release_to(w, self.ended(w));
    }

    fn release_to(&self, w: &mut World, ended: bool) {
        let others = w.following.len + w.come.len;
        let laid = self.guards.leader_is_called_for_its_seat && w.seats.contains(&Laid);
        if (ended || laid || usize::from(w.queue) > others)
            && self.leader(w).is_some()
            && self.guards.leader_is_woken
        {
            self.call(w);
        }
        while (ended || self.needed(w) > 0)
            && let Some(who) = w.following.pop_first()
        {
            if !(self.guards.gone_follower_is_passed_over && self.is_gone(w, who)) {
                w.come.push(who);
                w.called[who] = true;
            }
        }
    }

    /// Does somebody sleep, as far as one can see without the lock?
    fn somebody_sleeps(&self, w: &World) -> bool {
        w.following.len > 0 || w.leader.is_some() && w.marked
    }

    /// All that can happen next.
    fn steps(&self, w: &World) -> Vec<World> {
        let mut out = Vec::new();
        let mut add = |act: &dyn Fn(&mut World)| {
            let mut next = *w;
            act(&mut next);
            if next != *w {
                out.push(next);
            }
        };
        if w.to_ring {
            add(&|w| {
                w.to_ring = false;
                if w.asleep {
                    self.call(w);
                }
            });
        } else if w.to_post > 0 {
            add(&|w| {
                (w.to_post, w.inbox, w.to_ring) = (w.to_post - 1, w.inbox + 1, true);
                w.pending += 1;
            });
        }
        if w.to_wake {
            add(&|w| {
                w.to_wake = false;
                if self.somebody_sleeps(w) {
                    self.release(w);
                }
            });
        } else if w.to_notify > 0 {
            add(&|w| {
                (w.to_notify, w.queue, w.to_wake) = (w.to_notify - 1, w.queue + 1, true);
                w.pending += 1;
            });
        }
        if w.to_call {
            add(&|w| {
                w.to_call = false;
                if self.guards.all_are_called {
                    self.release_to(w, true);
                }
            });
        } else if w.to_lay > 0 {
            add(&|w| self.lay(w));
        }
        if self.scenario.shuts && !w.shut && w.to_post + w.to_notify + w.to_lay == 0 {
            add(&|w| {
                w.shut = true;
                self.release(w);
            });
        }
        if self.scenario.stops && !w.stopped {
            add(&|w| w.stopped = true);
        }
        if w.stopped && !w.told && self.guards.end_is_told {
            add(&|w| {
                w.told = true;
                if self.guards.gone_callee_is_taken_out {
                    (0..self.scenario.tasks).for_each(|task| w.come.remove(task));
                }
                for task in 0..self.scenario.tasks {
                    if w.seats[task] == Laid && self.sleeps(w, task) && self.guards.gone_seat_is_cleared {
                        (w.seats[task], w.pending) = (Free, w.pending - 1);
                    }
                }
                self.release(w);
            });
        }
        for who in 0..GETTERS {
            add(&|w| self.getter(w, who));
        }
        add(&|w| self.serve(w));
        if matches!(w.server, Look | Pass) && w.served {
            // It ends, and is seen to go on elsewhere.
            add(&|w| {
                (w.server, w.served) = (Done, false);
                if self.guards.last_of_serving_calls {
                    self.release(w);
                }
            });
        }
        out
    }

    /// A task that has said on its seat that it sleeps: one sees whether it is gone.
    fn sleeps(&self, w: &World, who: usize) -> bool {
        let outside = matches!(w.getters[who], ChecksOutside | Announces | LooksAgain | Sleeps);
        outside || matches!(w.getters[who], Joined | Follows)
    }

    /// What is for all: for each who sits there and is not gone, or for the next one.
    fn lay(&self, w: &mut World) {
        w.to_lay -= 1;
        let mut laid = 0;
        for who in 0..GETTERS {
            match w.seats[who] {
                Empty if !(self.is_gone(w, who) && self.sleeps(w, who)) => {
                    w.seats[who] = Laid;
                    laid += 1;
                }
                _ => {}
            }
        }
        if laid == 0 {
            (w.queue, w.to_wake, w.pending) = (w.queue + 1, true, w.pending + 1);
            return;
        }
        for seat in &mut w.seats {
            if *seat == Left(false) {
                *seat = Left(true);
                laid += u8::from(self.guards.who_stands_counts);
            }
        }
        (w.pending, w.to_call) = (w.pending + laid, true);
    }

    fn leads(&self, w: &World, who: usize) -> bool {
        !w.served && w.leader.is_some_and(|(leader, _)| leader == who)
    }

    /// It has an event, or an error, and goes.
    fn goes(&self, w: &mut World, who: usize) {
        let lead = w.leader.is_some_and(|(leader, _)| leader == who);
        w.seats[who] = Free;
        w.getters[who] = if lead || w.followed[who] { Leaves } else { Done };
    }

    fn waits(&self, w: &mut World, who: usize) {
        // (A lead that is no longer its own it gives back.)
        if w.leader == Some((who, false)) && w.served {
            w.leader = None;
            self.release(w);
        }
        if self.leads(w, who) {
            w.getters[who] = if self.is_task(who) { Glance } else { Marks };
        } else if self.leader(w).is_none() && !w.served {
            (w.leader, w.marked) = (Some((who, false)), false);
            w.getters[who] = if self.is_task(who) { Glance } else { Marks };
        } else {
            w.following.push(who);
            (w.called[who], w.followed[who], w.getters[who]) = (false, true, Joined);
        }
    }

    fn unmark(&self, w: &mut World, who: usize) {
        if w.leader.is_some_and(|(leader, _)| leader == who) {
            w.marked = false;
        }
    }

    /// Is it to sleep? (It has said so.)
    fn may_sleep(&self, w: &World, who: usize, looks_into_queue: bool) -> bool {
        !(looks_into_queue && w.queue > 0
            || self.guards.sleeper_looks_at_its_seat && w.seats[who] == Laid
            || self.guards.sleeper_looks_whether_ended && self.ended(w))
    }

    /// What was posted becomes ready.
    fn take_in(&self, w: &mut World) -> bool {
        let any = w.inbox > 0;
        (w.queue, w.inbox, w.bell) = (w.queue + w.inbox, 0, false);
        any
    }

    fn announce(&self, w: &mut World, who: usize) -> bool {
        if w.sticky {
            w.sticky = false;
            return false;
        }
        (w.announced, w.asleep) = (who, true);
        true
    }

    fn awake(&self, w: &mut World, who: usize) {
        if w.announced == who || !self.guards.awake_is_ones_own {
            (w.asleep, w.sticky) = (false, false);
        }
    }

    fn getter(&self, w: &mut World, who: usize) {
        let task = self.is_task(who);
        match w.getters[who] {
            Look if w.seats[who] == Laid => (w.seats[who], w.getters[who]) = (Free, Counts),
            Look if w.queue > 0 && self.scenario.lays == 0 => {
                (w.queue, w.getters[who]) = (w.queue - 1, Counts);
            }
            Look if w.queue > 0 => {
                if w.seats[who] == Empty {
                    w.seats[who] = Left(false);
                }
                w.getters[who] = Stands;
            }
            Look => w.getters[who] = Decides,
            Stands if w.queue > 0 => (w.queue, w.getters[who]) = (w.queue - 1, Counts),
            Stands => w.getters[who] = Decides,
            Counts => {
                w.pending -= 1;
                if w.seats[who] == Left(true) && self.guards.who_stands_gives_back {
                    w.pending -= u8::from(self.guards.who_stands_counts);
                }
                if self.ended(w) && self.guards.last_tells {
                    self.release(w);
                }
                self.goes(w, who);
            }
            Decides if self.ended(w) => {
                self.release(w);
                self.goes(w, who);
            }
            Decides if w.seats[who] == Left(true) && self.guards.who_stands_gets => {
                w.pending += u8::from(!self.guards.who_stands_counts);
                (w.seats[who], w.getters[who]) = (Free, Counts);
            }
            Decides => {
                if w.seats[who] != Laid && self.scenario.lays > 0 {
                    w.seats[who] = Empty;
                }
                w.getters[who] = Waits;
            }
            Waits => self.waits(w, who),
            Marks if !self.leads(w, who) => w.getters[who] = Glance,
            Marks => (w.marked, w.getters[who]) = (true, Checks),
            Checks => {
                let sleeps = self.may_sleep(w, who, self.guards.leader_looks_into_queue);
                w.getters[who] = if sleeps { Pass } else { Glance };
            }
            Pass | Glance if w.drives.is_some() => w.getters[who] = Look,
            Pass => {
                if self.take_in(w) {
                    w.getters[who] = Look;
                } else {
                    (w.drives, w.getters[who]) = (Some(who), Announces);
                }
            }
            Glance => {
                let any = self.take_in(w);
                w.getters[who] = if any || !task { Look } else { GoesOutside };
            }
            GoesOutside => {
                if w.leader != Some((who, false)) || w.served && self.guards.outside_looks_whether_served {
                    w.getters[who] = Look;
                    return;
                }
                (w.leader, w.called[who]) = (Some((who, true)), false);
                // (It may hear a call that is for whoever leads after it.)
                w.followed[who] = self.guards.outside_hands_on;
                (w.marked, w.getters[who]) = (true, ChecksOutside);
            }
            ChecksOutside if !self.may_sleep(w, who, self.guards.leader_looks_into_queue) => {
                w.getters[who] = ComesInside;
            }
            ChecksOutside => {
                w.getters[who] = Announces;
                if self.is_gone(w, who) && self.guards.late_one_hands_on {
                    self.release(w);
                }
            }
            // (It has the right to drive for a moment: another one has it.)
            Announces if task && w.drives.is_some() => w.getters[who] = ComesInside,
            Announces => {
                let next = if task { ComesInside } else { Wakes };
                w.getters[who] = if self.announce(w, who) { LooksAgain } else { next };
            }
            LooksAgain => {
                let stays = w.inbox == 0 || !self.guards.looks_again;
                w.getters[who] = if stays { Sleeps } else { Wakes };
            }
            Sleeps if self.is_gone(w, who) => {}
            Sleeps if w.bell || (task && w.called[who]) => w.getters[who] = Wakes,
            Sleeps => {}
            Wakes if task => {
                self.awake(w, who);
                w.getters[who] = ComesInside;
            }
            Wakes => {
                self.awake(w, who);
                self.take_in(w);
                w.drives = None;
                w.getters[who] = Look;
            }
            ComesInside => {
                match w.leader {
                    Some((leader, true)) if leader == who => w.leader = Some((who, false)),
                    Some(_) if self.guards.outside_calls_next_leader && w.seats.contains(&Laid) => {
                        self.call(w);
                    }
                    _ => {}
                }
                self.unmark(w, who);
                w.getters[who] = Look;
            }
            Joined if !self.may_sleep(w, who, self.guards.follower_looks_into_queue) => {
                self.come_back(w, who)
            }
            Joined => w.getters[who] = Follows,
            Follows if self.is_gone(w, who) || !w.called[who] => {}
            Follows => self.come_back(w, who),
            Leaves => {
                if w.leader.is_some_and(|(leader, _)| leader == who || !self.guards.lead_is_ones_own) {
                    w.leader = None;
                    self.release(w);
                } else if self.guards.follower_hands_on {
                    self.release(w);
                }
                w.getters[who] = Done;
            }
            Done => {}
        }
    }

    fn come_back(&self, w: &mut World, who: usize) {
        w.following.remove(who);
        w.come.remove(who);
        w.getters[who] = Look;
    }

    fn serve(&self, w: &mut World) {
        match w.server {
            Look => {
                w.served = true;
                w.server = Pass;
                self.call(w);
                if let Some((who, true)) = self.leader(w)
                    && self.guards.serve_calls_outside
                {
                    w.called[who] = true;
                }
            }
            Pass if w.drives.is_some() => {}
            Pass => {
                if self.take_in(w) {
                    self.release(w);
                } else {
                    (w.drives, w.server) = (Some(SERVER), Announces);
                }
            }
            Announces => w.server = if self.announce(w, SERVER) { LooksAgain } else { Wakes },
            LooksAgain => {
                w.server = if w.inbox == 0 || !self.guards.looks_again { Sleeps } else { Wakes };
            }
            Sleeps if w.bell => w.server = Wakes,
            Wakes => {
                self.awake(w, SERVER);
                let any = self.take_in(w);
                (w.drives, w.server) = (None, Pass);
                if any {
                    self.release(w);
                }
            }
            _ => {}
        }
    }

    /// An end in which somebody sleeps who could get an event; and how many states there are.
    fn search(&self) -> (Option<World>, usize) {
        let start = self.start();
        let (mut seen, mut todo) = (HashSet::from([start]), vec![start]);
        while let Some(world) = todo.pop() {
            let next = self.steps(&world);
            let could_get = |who: usize| world.getters[who] != Done && !self.is_gone(&world, who);
            let to_get = world.inbox + world.queue > 0 || self.ended(&world);
            let is_left = |who: usize| could_get(who) && world.seats[who] == Laid;
            let ends = next.is_empty();
            // (Also one that sits down, or ends, and has missed what was for all. And what nobody takes keeps the channel from its end.)
            let misses = |who: usize| world.getters[who] == Decides && world.seats[who] == Left(true);
            let missed = (self.ended(&world) || !self.guards.who_stands_gets) && (0..GETTERS).any(misses);
            let owed = world.shut && world.pending > 0 && world.told == world.stopped;
            let is_lost = ends && (to_get && (0..GETTERS).any(could_get) || (0..GETTERS).any(is_left));
            if is_lost || missed || ends && owed && world.inbox + world.queue == 0 {
                return (Some(world), seen.len());
            }
            for next in next {
                if seen.insert(next) {
                    todo.push(next);
                }
            }
        }
        (None, seen.len())
    }
}

const NONE: Scenario = Scenario {
    tasks: 0,
    threads: 0,
    posts: 0,
    notifies: 0,
    lays: 0,
    serves: false,
    stops: false,
    shuts: false,
};

const SCENARIOS: &[Scenario] = &[
    Scenario { tasks: 1, threads: 1, posts: 1, notifies: 1, shuts: true, ..NONE },
    Scenario { tasks: 0, threads: 3, posts: 0, notifies: 1, shuts: true, ..NONE },
    Scenario { tasks: 1, threads: 1, posts: 1, notifies: 2, stops: true, ..NONE },
    Scenario { tasks: 1, threads: 1, posts: 2, serves: true, ..NONE },
    Scenario { tasks: 1, threads: 1, notifies: 1, lays: 1, shuts: true, stops: true, ..NONE },
    Scenario { tasks: 0, threads: 2, notifies: 1, lays: 2, ..NONE },
    // Large ones.
    Scenario { tasks: 0, threads: 3, notifies: 1, lays: 1, shuts: true, ..NONE },
    Scenario { tasks: 0, threads: 2, posts: 2, notifies: 1, serves: true, ..NONE },
    Scenario { tasks: 0, threads: 3, posts: 1, notifies: 2, ..NONE },
    Scenario { tasks: 1, threads: 1, posts: 2, serves: true, stops: true, ..NONE },
    Scenario { tasks: 2, threads: 1, posts: 2, stops: true, ..NONE },
    Scenario { tasks: 2, threads: 0, posts: 1, notifies: 1, serves: true, stops: true, ..NONE },
    Scenario { tasks: 1, threads: 1, lays: 1, serves: true, stops: true, ..NONE },
];

const SMALL: usize = if cfg!(debug_assertions) { 6 } else { SCENARIOS.len() };

#[test]
fn nobody_sleeps_on_while_an_event_is_there() {
    if ec_test_support::without_models() {
        return;
    }
    for (number, scenario) in SCENARIOS[..SMALL].iter().enumerate() {
        let (lost, states) = Model { scenario: *scenario, guards: ALL }.search();
        println!("scenario {number}: {states} states");
        assert!(lost.is_none(), "scenario {number}: {lost:#?}");
    }
}

#[test]
fn each_guard_is_needed() {
    if SMALL < SCENARIOS.len() {
        return ec_test_support::skipped("the large scenarios are for a release build");
    }
    if ec_test_support::without_models() {
        return;
    }
    type TakeAway = fn(&mut Guards);
    let without: &[(&str, TakeAway)] = &[
        ("awake_is_ones_own", |g| g.awake_is_ones_own = false),
        ("looks_again", |g| g.looks_again = false),
        ("serve_calls_outside", |g| g.serve_calls_outside = false),
        ("outside_looks_whether_served", |g| g.outside_looks_whether_served = false),
        ("gone_leader_is_passed_over", |g| g.gone_leader_is_passed_over = false),
        ("gone_follower_is_passed_over", |g| g.gone_follower_is_passed_over = false),
        ("end_is_told", |g| g.end_is_told = false),
        ("gone_callee_is_taken_out", |g| g.gone_callee_is_taken_out = false),
        ("late_one_hands_on", |g| g.late_one_hands_on = false),
        ("last_of_serving_calls", |g| g.last_of_serving_calls = false),
        ("lead_is_ones_own", |g| g.lead_is_ones_own = false),
        ("leader_is_woken", |g| g.leader_is_woken = false),
        ("leader_looks_into_queue", |g| g.leader_looks_into_queue = false),
        ("follower_looks_into_queue", |g| g.follower_looks_into_queue = false),
        ("sleeper_looks_whether_ended", |g| g.sleeper_looks_whether_ended = false),
        ("follower_hands_on", |g| g.follower_hands_on = false),
        ("outside_hands_on", |g| g.outside_hands_on = false),
        ("outside_calls_next_leader", |g| g.outside_calls_next_leader = false),
        ("leader_is_called_for_its_seat", |g| g.leader_is_called_for_its_seat = false),
        ("last_tells", |g| g.last_tells = false),
        ("sleeper_looks_at_its_seat", |g| g.sleeper_looks_at_its_seat = false),
        ("all_are_called", |g| g.all_are_called = false),
        ("who_stands_gets", |g| g.who_stands_gets = false),
        ("who_stands_counts", |g| g.who_stands_counts = false),
        ("who_stands_gives_back", |g| g.who_stands_gives_back = false),
        ("gone_seat_is_cleared", |g| g.gone_seat_is_cleared = false),
    ];
    for (guard, take_away) in without {
        let mut guards = ALL;
        take_away(&mut guards);
        let lost =
            SCENARIOS.iter().any(|scenario| Model { scenario: *scenario, guards }.search().0.is_some());
        assert!(lost, "without {guard} nothing is lost");
    }
}
