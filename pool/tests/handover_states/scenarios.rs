//! Who does what: the stories that are gone through.

use crate::world::Set;

pub(crate) const CORES: usize = 2;
pub(crate) const THREADS: usize = 5;
pub(crate) const TASKS: usize = 4;

/// What a task does, one after the other; then it ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Do {
    /// Blocks its thread until the flag is set.
    Block(u8),
    /// Blocks its thread for a while and yields; the same once more whenever it runs again at once, until the flag is set.
    Naps(u8),
    Set(u8),
    /// Suspends until a request at a port is complete.
    Request,
    Yield,
    Spawn(u8),
    /// Says that it is about to block: `blocking`.
    Hint,
}
use Do::*;

/// Who does what.
#[derive(Clone, Copy)]
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    /// At most [`TASKS`].
    pub(crate) tasks: &'static [&'static [Do]],
    /// Those that have begun already.
    pub(crate) begun: Set,
    /// Of those, the ones that wait for a request at port 0.
    pub(crate) waiting: Set,
    /// And the ones that have blocked their thread in their last run.
    pub(crate) noted: Set,
    /// Those that others spawn. All the rest is in the injector.
    pub(crate) later: Set,
    pub(crate) spares: usize,
    pub(crate) max_threads: usize,
    /// New tasks are held when threads become scarce.
    pub(crate) hold: bool,
    /// Spare threads leave when nobody wants them.
    pub(crate) retire: bool,
    /// The pool may be stopped, at any time.
    pub(crate) stop: bool,
    /// The kernel may refuse the barrier, from some time on: who went out before then keeps its core until it is back.
    pub(crate) refuses: bool,
}

/// Nothing but what each of the others adds.
pub(crate) const PLAIN: Scenario = Scenario {
    name: "",
    tasks: &[],
    begun: 0b1111,
    waiting: 0,
    noted: 0,
    later: 0,
    spares: 0,
    max_threads: 4,
    hold: false,
    retire: false,
    stop: false,
    refuses: false,
};

pub(crate) const LOCK: Scenario = Scenario {
    name: "two wait for a lock whose holder is suspended",
    tasks: &[&[Set(0)], &[Block(0), Yield], &[Block(0)]],
    waiting: 0b001,
    ..PLAIN
};

pub(crate) const REQUEST: Scenario = Scenario {
    name: "who has lost its core has a request",
    tasks: &[&[Set(0)], &[Block(0), Request], &[]],
    waiting: 0b001,
    spares: 1,
    max_threads: 3,
    ..PLAIN
};

pub(crate) const HOLD: Scenario = Scenario {
    name: "a new task is held until threads are no longer scarce",
    tasks: &[&[Set(0)], &[Block(0)], &[Set(1)]],
    begun: 0b011,
    waiting: 0b001,
    hold: true,
    ..PLAIN
};

pub(crate) const CHILD: Scenario = Scenario {
    name: "a blocked task waits for its child",
    tasks: &[&[Spawn(1), Block(0)], &[Set(0)]],
    begun: 0b01,
    later: 0b10,
    hold: true,
    max_threads: 5,
    ..PLAIN
};

pub(crate) const HINTS: Scenario = Scenario {
    name: "tasks say that they are about to block",
    tasks: &[&[Hint], &[Hint, Block(0)], &[Set(0)]],
    spares: 2,
    ..PLAIN
};

pub(crate) const STOP: Scenario = Scenario {
    name: "a stop at any time",
    tasks: &[&[Set(0)], &[Block(0)]],
    waiting: 0b001,
    stop: true,
    ..PLAIN
};

pub(crate) const RETIRE: Scenario = Scenario {
    name: "spare threads leave",
    tasks: &[&[Set(0)], &[Block(0)], &[]],
    waiting: 0b001,
    spares: 1,
    retire: true,
    ..PLAIN
};

pub(crate) const CAP: Scenario = Scenario {
    name: "at the cap there is still the monitor to look after a port",
    tasks: &[&[Set(0)], &[Block(0)]],
    waiting: 0b001,
    max_threads: 2,
    ..PLAIN
};

pub(crate) const CAP_CHILD: Scenario = Scenario {
    name: "at the cap a child is run by the other worker",
    tasks: &[&[Spawn(1), Block(0)], &[Set(0)]],
    later: 0b10,
    max_threads: 2,
    ..PLAIN
};

pub(crate) const CAP_CHILDREN: Scenario = Scenario {
    name: "at the cap who has lost its core has two children",
    tasks: &[&[Spawn(1), Spawn(2), Block(0)], &[Block(0)], &[Set(0)]],
    later: 0b110,
    spares: 1,
    max_threads: 3,
    ..PLAIN
};

pub(crate) const LENT: Scenario = Scenario {
    name: "a task blocks its thread, yields, and does so again; spare threads leave",
    tasks: &[&[Block(0), Yield, Block(1), Yield], &[Set(0), Set(1)]],
    spares: 1,
    max_threads: 3,
    retire: true,
    ..PLAIN
};

pub(crate) const LENT_AND_BLOCKED: Scenario = Scenario {
    name: "a task that was lent waits for another one, and so do two with a core",
    tasks: &[&[Block(0)], &[Block(0)], &[Block(0)], &[Set(0)]],
    noted: 0b0001,
    spares: 1,
    ..PLAIN
};

pub(crate) const LENT_AT_CAP: Scenario = Scenario {
    name: "at the cap there is no thread to lend a task to",
    tasks: &[&[Block(0), Yield], &[Set(0)]],
    noted: 0b01,
    max_threads: 2,
    ..PLAIN
};

pub(crate) const LENT_HELD: Scenario = Scenario {
    name: "a task that was lent blocks time and again while another one is held",
    tasks: &[&[Naps(0)], &[Set(0)]],
    begun: 0b01,
    noted: 0b01,
    spares: 2,
    hold: true,
    ..PLAIN
};

pub(crate) const LENT_AND_BACK: Scenario = Scenario {
    name: "a task that was lent ends just as new ones are held because of it",
    tasks: &[&[], &[Set(0)]],
    begun: 0b01,
    noted: 0b01,
    spares: 1,
    hold: true,
    ..PLAIN
};

pub(crate) const LENT_STOP: Scenario = Scenario {
    name: "a stop at any time, also while a task that was lent blocks time and again",
    tasks: &[&[Naps(0)], &[Block(0)]],
    noted: 0b01,
    spares: 1,
    max_threads: 3,
    stop: true,
    ..PLAIN
};

pub(crate) const KEPT: Scenario = Scenario {
    name: "all that hold a core are blocked when the kernel refuses the barrier",
    tasks: &[&[Set(0)], &[Block(0), Yield], &[Block(0)]],
    waiting: 0b001,
    refuses: true,
    ..PLAIN
};

pub(crate) const KEPT_CHILD: Scenario = Scenario {
    name: "the same, and what they wait for is queued where nobody comes by",
    tasks: &[&[Spawn(1), Block(0)], &[Set(0)], &[Block(0)]],
    begun: 0b101,
    later: 0b010,
    spares: 1,
    max_threads: 3,
    refuses: true,
    ..PLAIN
};

pub(crate) const SCENARIOS: [Scenario; 18] = [
    LOCK,
    REQUEST,
    HOLD,
    CHILD,
    HINTS,
    STOP,
    RETIRE,
    CAP,
    CAP_CHILD,
    CAP_CHILDREN,
    LENT,
    LENT_AND_BLOCKED,
    LENT_AT_CAP,
    LENT_HELD,
    LENT_AND_BACK,
    LENT_STOP,
    KEPT,
    KEPT_CHILD,
];
