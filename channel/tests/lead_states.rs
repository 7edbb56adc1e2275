//! Who leads, follows, sleeps and serves, over all orders of their steps: as `get.rs`, `waiting.rs`, `ports/mod.rs` and `serve.rs` have
//! them. Tasks that wait outside of the port are abandoned at any moment; a pool begins and ceases to serve at any moment.
//!
//! A step is what happens under one lock, or one operation on the alarm. No end is allowed in which an event is there, and somebody
//! who could get it sleeps. Each guard that the protocol relies on is taken away in turn: then there must be such an end.

use std::collections::HashSet;

const GETTERS: usize = 3;
/// The driver that is not a getter.
const SERVER: usize = GETTERS;

/// Where a getter or the pool is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum At {
    /// About to look at the queue.
    Look,
    /// Leads: about to make a pass.
    Pass,
    /// A task that leads: nothing was there.
    GoesOutside,
    Announces,
    /// Has announced its sleep, and looks into the inbox once more.
    LooksAgain,
    /// In the kernel. (A thread and the pool hold the right to drive meanwhile.)
    Sleeps,
    /// Takes its announcement back.
    Wakes,
    ComesInside,
    Follows,
    /// Has an event, or has ended.
    Done,
}
use At::*;

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct World {
    getters: [At; GETTERS],
    called: [bool; GETTERS],
    server: At,
    /// Their runtime has ended: tasks that sleep never run again.
    stopped: bool,
    told: bool,
    inbox: u8,
    queue: u8,
    /// Posted to the inbox, and not rung for yet.
    to_ring: bool,
    to_post: u8,
    to_notify: u8,
    bell: bool,
    /// Of the alarm: who has announced last, whether he counts as asleep, whether somebody has called.
    announced: usize,
    asleep: bool,
    sticky: bool,
    /// Who makes a pass.
    drives: Option<usize>,
    /// Who leads, and whether outside.
    leader: Option<(usize, bool)>,
    served: bool,
    following: Vec<usize>,
    come: Vec<usize>,
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
};

/// The first so many getters are tasks, the others threads.
#[derive(Clone, Copy)]
struct Scenario {
    tasks: usize,
    threads: usize,
    posts: u8,
    notifies: u8,
    serves: bool,
    stops: bool,
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
            called: [false; GETTERS],
            server: if s.serves { Look } else { Done },
            stopped: false,
            told: false,
            inbox: 0,
            queue: 0,
            to_ring: false,
            to_post: s.posts,
            to_notify: s.notifies,
            bell: false,
            announced: usize::MAX,
            asleep: false,
            sticky: false,
            drives: None,
            leader: None,
            served: false,
            following: Vec::new(),
            come: Vec::new(),
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
        (usize::from(w.queue) + leads).saturating_sub(w.come.len())
    }

    fn release(&self, w: &mut World) {
        let mut nobody = true;
        while self.needed(w) > 0 && !w.following.is_empty() {
            let who = w.following.remove(0);
            nobody = false;
            if !(self.guards.gone_follower_is_passed_over && self.is_gone(w, who)) {
                w.come.push(who);
                w.called[who] = true;
            }
        }
        if nobody && w.queue > 0 && self.leader(w).is_some() && self.guards.leader_is_woken {
            self.call(w);
        }
    }

    /// All that can happen next.
    fn steps(&self, w: &World) -> Vec<World> {
        let mut out = Vec::new();
        let mut add = |act: &dyn Fn(&mut World)| {
            let mut next = w.clone();
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
            add(&|w| (w.to_post, w.inbox, w.to_ring) = (w.to_post - 1, w.inbox + 1, true));
        }
        if w.to_notify > 0 {
            add(&|w| {
                (w.to_notify, w.queue) = (w.to_notify - 1, w.queue + 1);
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
                    w.come.retain(|&who| !self.is_task(who));
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

    fn get(&self, w: &mut World, who: usize) {
        if w.queue > 0 {
            w.queue -= 1;
            w.getters[who] = Done;
            self.release(w);
        } else if self.leader(w).is_none() && !w.served {
            (w.leader, w.getters[who]) = (Some((who, false)), Pass);
        } else {
            w.following.push(who);
            (w.called[who], w.getters[who]) = (false, Follows);
            // (What a follower does before it sleeps: it leaves the lock as whoever does.)
        }
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

    fn back(&self, w: &mut World, who: usize) {
        if !self.guards.lead_is_ones_own || w.leader == Some((who, false)) {
            w.leader = None;
        }
        self.get(w, who);
    }

    fn getter(&self, w: &mut World, who: usize) {
        let task = self.is_task(who);
        match w.getters[who] {
            Look => self.get(w, who),
            Pass if w.drives.is_some() => self.back(w, who),
            Pass => {
                if self.take_in(w) {
                    self.back(w, who);
                } else if task {
                    w.getters[who] = GoesOutside;
                } else {
                    (w.drives, w.getters[who]) = (Some(who), Announces);
                }
            }
            GoesOutside => {
                if w.leader != Some((who, false)) || w.served && self.guards.outside_looks_whether_served {
                    return self.back(w, who);
                }
                (w.leader, w.called[who], w.getters[who]) = (Some((who, true)), false, Announces);
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
                self.back(w, who);
            }
            ComesInside => {
                if w.leader == Some((who, true)) {
                    w.leader = Some((who, false));
                }
                self.back(w, who);
            }
            Follows if self.is_gone(w, who) || !w.called[who] => {}
            Follows => {
                w.following.retain(|&it| it != who);
                w.come.retain(|&it| it != who);
                self.get(w, who);
            }
            Done => {}
        }
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
        let (mut seen, mut todo) = (HashSet::from([start.clone()]), vec![start]);
        while let Some(world) = todo.pop() {
            let next = self.steps(&world);
            let could_get = |who: usize| world.getters[who] != Done && !self.is_gone(&world, who);
            if next.is_empty() && world.inbox + world.queue > 0 && (0..GETTERS).any(could_get) {
                return (Some(world), seen.len());
            }
            for next in next {
                if seen.insert(next.clone()) {
                    todo.push(next);
                }
            }
        }
        (None, seen.len())
    }
}

const SCENARIOS: &[Scenario] = &[
    Scenario { tasks: 1, threads: 1, posts: 2, notifies: 0, serves: true, stops: false },
    Scenario { tasks: 2, threads: 1, posts: 2, notifies: 0, serves: false, stops: true },
    Scenario { tasks: 1, threads: 2, posts: 1, notifies: 2, serves: false, stops: true },
    Scenario { tasks: 1, threads: 1, posts: 2, notifies: 0, serves: true, stops: true },
    Scenario { tasks: 2, threads: 0, posts: 1, notifies: 1, serves: true, stops: true },
    Scenario { tasks: 0, threads: 2, posts: 2, notifies: 1, serves: true, stops: false },
];

#[test]
fn nobody_sleeps_on_while_an_event_is_there() {
    if ec_test_support::without_models() {
        return;
    }
    for (number, scenario) in SCENARIOS.iter().enumerate() {
        let (lost, states) = Model { scenario: *scenario, guards: ALL }.search();
        println!("scenario {number}: {states} states");
        assert!(lost.is_none(), "scenario {number}: {lost:#?}");
    }
}

#[test]
fn each_guard_is_needed() {
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
    ];
    for (guard, take_away) in without {
        let mut guards = ALL;
        take_away(&mut guards);
        let lost =
            SCENARIOS.iter().any(|scenario| Model { scenario: *scenario, guards }.search().0.is_some());
        assert!(lost, "without {guard} nothing is lost");
    }
}
