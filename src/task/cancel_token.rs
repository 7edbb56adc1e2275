//! Cancel tokens: one cancel for a group of tasks.
//!
//! * A token is a node with a state, a list of the tasks that are in its group now, and a list of its children. [`CancelToken::enter`] puts
//!   a scope on the caller's stack that refers to the node (`pool/src/wait/scopes.rs`): there its state is looked at, at each cancellation
//!   point. The list of members only says whom to wake.
//! * A cancel is one moment for the token and all its descendants, for whoever looks, and nobody waits for that. First they all are told to
//!   ask their ancestors ([`ASKS`]); what is made from them from then on does, too. Then the token is cancelled: that is the moment. Then,
//!   so that nobody has to ask any more, its descendants. Who cancels meanwhile what is not cancelled goes the first way as well.
//! * Where a node becomes cancelled both lists are taken away, under its lock. The members are woken without it. Who wants to join later
//!   finds the node cancelled, and is not listed. So a list only grows as long as its node is not cancelled, and each leaves it that has
//!   entered.
//! * A child refers to its parent, and the parent knows its child as long as that is there. A chain of tokens is neither cancelled nor
//!   dropped by recursion.
//!
//! Nothing is allocated or freed under the lock. A forked child has no members to wake, and leaves the lists alone.

use crate::queue::Queue;
use ec_channel::line::Place;
use ec_pool::wait;
use ec_tasks::lock::{ForkMutex, Forked};
use ec_tasks::room::lock_with_room;
use ec_tasks::{Task, Tokens};
use std::any::Any;
use std::fmt;
use std::mem;
use std::ops::Deref;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, OnceLock, Weak};

/// Cancels a group of tasks at once: all that run code under it, by [`enter`](Self::enter) or by
/// [`Builder::cancel_token`](super::Builder::cancel_token).
///
/// A cancel of the token fails, once for each task in the group, the cancellation point in which the task waits, or the next one, as
/// [`JoinHandle::cancel`](super::JoinHandle::cancel) does. [`is_cancelled`](super::is_cancelled()) says yes from then on, in the group. Who joins
/// after the cancel is cancelled at once. What was not delivered when a task leaves the group is not delivered any more.
///
/// * A clone is the same token. A [`child_token`](Self::child_token) is cancelled with its parent, and can be cancelled alone.
/// * Dropping tokens cancels nothing. A token may live for ever: it keeps nothing of tasks that have left.
/// * Children of a [`scope`](super::scope()) are in the groups that the scope is in.
/// * A task may be in several groups. Each token's cancel is delivered once, that of the task itself and the innermost first.
/// * **Plain threads** can enter as well: the cancellation points that they come to from then on fail. But a call in which a plain
///   thread waits already goes on. Code that is to be cancelled there belongs in a task; one that is
///   [dedicated](super::Builder::dedicated) has a thread of its own.
/// * With coroutines of another crate the same holds as for a [`timeout`](crate::time::timeout).
///
/// ```
/// use event_channel::{is_cancelled, task, time};
/// use std::time::Duration;
///
/// let token = task::CancelToken::new();
/// let workers: Vec<_> = (0..10)
///     .map(|_| {
///         let token = token.clone();
///         task::spawn(move || token.enter(|| time::sleep_cancellable(Duration::from_secs(3600))))
///     })
///     .collect();
/// token.cancel();
/// for worker in workers {
///     assert!(is_cancelled(&worker.join().unwrap().unwrap_err()));
/// }
/// ```
#[derive(Clone)]
pub struct CancelToken(Arc<Node>);

struct Node {
    /// Only grows, and only under the lock.
    state: AtomicU8,
    lists: ForkMutex<Lists>,
    parent: Option<Arc<Node>>,
    /// Where the parent lists this one, if it does.
    place: OnceLock<Place>,
}

/// Neither the node is cancelled nor what it was made from.
const LIVE: u8 = 0;
/// Not itself. Its ancestors may be, and so none of its descendants is [`LIVE`].
const ASKS: u8 = 1;
/// None of its descendants is [`LIVE`].
const CANCELLED: u8 = 2;

/// Empty once the token is cancelled.
struct Lists {
    members: Queue<Task>,
    children: Queue<Weak<Node>>,
}

impl Lists {
    const fn new() -> Lists {
        Lists { members: Queue::new(), children: Queue::new() }
    }
}

impl Forked for Lists {
    /// Who was in them nobody knows. (All ask their ancestors in a forked child.)
    fn left_half() -> Self {
        Lists::new()
    }
}

impl CancelToken {
    /// One that is not cancelled.
    pub fn new() -> CancelToken {
        CancelToken(Arc::new(Node::new(None)))
    }

    /// A token that is cancelled when this one is (at once, if it was already), or alone.
    ///
    /// ```
    /// use event_channel::task::CancelToken;
    ///
    /// let server = CancelToken::new();
    /// let (one, other) = (server.child_token(), server.child_token());
    /// one.cancel();
    /// assert!(!server.is_cancelled() && !other.is_cancelled());
    /// server.cancel();
    /// assert!(other.is_cancelled() && server.child_token().is_cancelled());
    /// ```
    pub fn child_token(&self) -> CancelToken {
        let child = Arc::new(Node::new(Some(self.0.clone())));
        let listed = Arc::downgrade(&child);
        let mut lists = lock_with_room(&self.0.lists, |lists| &mut lists.children);
        // (Nobody else has it.)
        let state = self.0.state.load(Ordering::Relaxed);
        child.state.store(state, Ordering::Relaxed);
        if state != CANCELLED {
            let _ = child.place.set(lists.children.join(listed));
        }
        drop(lists);
        CancelToken(child)
    }

    /// Cancels all that are in the group now, or join it later, and the tokens that were made from this one: all are when it returns, also
    /// if somebody else has begun to. Does not wait. The second time it does nothing.
    pub fn cancel(&self) {
        if self.0.state.load(Ordering::Acquire) == CANCELLED {
            return;
        }
        each_from(&self.0, |node| node.ask());
        each_from(&self.0, |node| {
            let lists = node.close();
            lists.members.iter().filter(|task| !ec_pool::is_abandoned(task)).for_each(|task| {
                wait::group_cancelled(task, node);
                task.wake(Tokens::SYNC);
            });
            lists.children.iter().filter_map(Weak::upgrade).collect()
        });
    }

    /// Was this token cancelled, or one that it was made from?
    pub fn is_cancelled(&self) -> bool {
        self.0.is_cancelled()
    }

    /// Calls `f`: the calling task is in the group as long as that runs, and no longer.
    ///
    /// ```
    /// use event_channel::{is_cancelled, task};
    ///
    /// let token = task::CancelToken::new();
    /// token.cancel();
    /// let error = token.enter(|| task::check()).unwrap_err();
    /// assert!(is_cancelled(&error));
    /// assert!(token.enter(|| task::is_cancelled()) && !task::is_cancelled());
    /// ```
    pub fn enter<T>(&self, f: impl FnOnce() -> T) -> T {
        let _member = Member::join(&*self.0);
        wait::with_group(self.0.clone(), f)
    }
}

/// Calls `f` with `first`, and with all that it gives.
fn each_from(first: &Arc<Node>, mut f: impl FnMut(&Arc<Node>) -> Vec<Arc<Node>>) {
    let mut next = vec![first.clone()];
    while let Some(node) = next.pop() {
        next.append(&mut f(&node));
    }
}

impl Node {
    fn new(parent: Option<Arc<Node>>) -> Node {
        Node {
            state: AtomicU8::new(LIVE),
            lists: ForkMutex::new(Lists::new()),
            parent,
            place: OnceLock::new(),
        }
    }

    /// As it was at the first look: who is found not to be cancelled later was not then either.
    fn is_cancelled(&self) -> bool {
        let mut node = self;
        loop {
            match (node.state.load(Ordering::Acquire), &node.parent) {
                (CANCELLED, _) => return true,
                (ASKS, Some(parent)) => node = parent,
                // (In a forked child a list may have been lost.)
                (_, Some(parent)) if ec_tasks::forks() > 0 => node = parent,
                _ => return false,
            }
        }
    }

    /// It is not [`LIVE`] from here on. Gives the children that may be.
    fn ask(&self) -> Vec<Arc<Node>> {
        let mut children = Vec::new();
        loop {
            let lists = self.lists.lock();
            if self.state.load(Ordering::Relaxed) == LIVE {
                self.state.store(ASKS, Ordering::Release);
            }
            let count = lists.children.len();
            if count <= children.capacity() {
                children.extend(lists.children.iter().filter_map(Weak::upgrade));
                return children;
            }
            drop(lists);
            children = Vec::with_capacity(count + 4);
        }
    }

    /// It is cancelled from here on. Gives whom to tell: nobody, the second time.
    fn close(&self) -> Lists {
        let mut lists = self.lists.lock();
        self.state.store(CANCELLED, Ordering::Release);
        mem::replace(&mut lists, Lists::new())
    }

    fn leave_parent(&mut self) -> Option<Arc<Node>> {
        let parent = self.parent.take()?;
        if let Some(&place) = self.place.get()
            && !ec_tasks::forked()
        {
            // (The place is this one's, or there is none: nobody joins a list that a cancel has taken away. This one has no address
            // any more, if it went by its last child's end.)
            let listed = {
                let mut lists = parent.lists.lock();
                lists.children.leave(place, |child| child.strong_count() == 0)
            };
            drop(listed);
        }
        Some(parent)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let mut next = self.leave_parent();
        while let Some(mut last) = next.and_then(Arc::into_inner) {
            next = last.leave_parent();
        }
    }
}

/// Listed, as long as this lives.
struct Member<N: Deref<Target = Node>> {
    node: N,
    place: Place,
    task: Task,
}

impl<N: Deref<Target = Node>> Member<N> {
    /// `None`: nobody is to be woken, because this is a plain thread, or the token is cancelled already.
    fn join(node: N) -> Option<Member<N>> {
        let task = ec_tasks::current()?;
        let listed = task.clone();
        let mut lists = lock_with_room(&node.lists, |lists| &mut lists.members);
        if node.state.load(Ordering::Relaxed) == CANCELLED {
            drop(lists);
            return None;
        }
        let place = lists.members.join(listed);
        drop(lists);
        Some(Member { node, place, task })
    }
}

impl wait::Members for Node {
    fn is_cancelled(&self) -> bool {
        Node::is_cancelled(self)
    }

    fn join(self: Arc<Self>) -> Option<Box<dyn Any>> {
        Some(Box::new(Member::join(self)?))
    }
}

impl<N: Deref<Target = Node>> Drop for Member<N> {
    fn drop(&mut self) {
        if ec_tasks::forked() {
            return;
        }
        let listed = {
            let mut lists = self.node.lists.lock();
            lists.members.leave(self.place, |task| *task == self.task)
        };
        drop(listed);
    }
}

impl Default for CancelToken {
    fn default() -> Self {
        CancelToken::new()
    }
}

// What a panic may leave half done is not reached through a token.
impl std::panic::UnwindSafe for Node {}
impl std::panic::RefUnwindSafe for Node {}

/// With how many tasks are in its group, and how many tokens were made from it and are still there: none, once it is cancelled.
impl fmt::Debug for CancelToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (members, children) = {
            let lists = self.0.lists.lock();
            (lists.members.len(), lists.children.len())
        };
        // (One whose parent was cancelled just now may still have its lists.)
        let is_cancelled = self.is_cancelled();
        let (members, children) = if is_cancelled { (0, 0) } else { (members, children) };
        f.debug_struct("CancelToken")
            .field("is_cancelled", &is_cancelled)
            .field("members", &members)
            .field("children", &children)
            .finish()
    }
}
