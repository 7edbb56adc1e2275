// Included twice, where `thread` is std's module and where it is ours. Whatever order its threads run in, a program says one thing.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt::Write;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Barrier, Condvar, Mutex, OnceLock, RwLock};
use std::time::Duration;
use thread::{AccessError, Builder, JoinHandle, LocalKey, Thread, ThreadId};

/// Its name, and what it says.
pub type Program = (&'static str, fn() -> String);

pub const PROGRAMS: &[Program] = &[
    ("sum_in_parts", sum_in_parts),
    ("producers_and_a_consumer", producers_and_a_consumer),
    ("ping_pong", ping_pong),
    ("pool_of_workers", pool_of_workers),
    ("errors_and_panics", errors_and_panics),
    ("thread_locals", thread_locals),
    ("bounded_buffer", bounded_buffer),
    ("phases", phases),
    ("philosophers", philosophers),
    ("merge_sort", merge_sort),
    ("readers_and_a_writer", readers_and_a_writer),
    ("who_is_who", who_is_who),
];

pub fn is_task() -> bool {
    thread::spawn(|| event_channel::Runtime::current().is_some()).join().unwrap()
}

fn sum_in_parts() -> String {
    let numbers: Arc<Vec<u64>> = Arc::new((1..=1000).collect());
    let parts: Vec<JoinHandle<u64>> = (0..4)
        .map(|part| {
            let numbers = Arc::clone(&numbers);
            thread::spawn(move || numbers[part * 250..(part + 1) * 250].iter().sum())
        })
        .collect();
    let sums: Vec<u64> = parts.into_iter().map(|part| part.join().unwrap()).collect();
    format!("{sums:?} are {}", sums.iter().sum::<u64>())
}

fn producers_and_a_consumer() -> String {
    let (sender, receiver) = mpsc::channel();
    for producer in 0..3 {
        let sender = sender.clone();
        thread::spawn(move || {
            for item in 0..5 {
                sender.send((producer, item)).unwrap();
                thread::yield_now();
            }
        });
    }
    drop(sender);
    let consumer = thread::spawn(move || {
        let mut items: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
        receiver.iter().for_each(|(producer, item)| items.entry(producer).or_default().push(item));
        items
    });
    format!("{:?}", consumer.join().unwrap())
}

fn ping_pong() -> String {
    let turn = Arc::new(AtomicU32::new(0));
    let said = Arc::new(Mutex::new(String::new()));
    let (theirs, their_said) = (turn.clone(), said.clone());
    let starter: Thread = thread::current();
    let pong = Builder::new()
        .name("pong".to_owned())
        .spawn(move || {
            for round in 0..5 {
                while theirs.load(Ordering::Acquire) != 2 * round + 1 {
                    thread::park();
                }
                write!(their_said.lock().unwrap(), " {}", thread::current().name().unwrap()).unwrap();
                theirs.fetch_add(1, Ordering::Release);
                starter.unpark();
            }
        })
        .unwrap();
    for round in 0..5 {
        while turn.load(Ordering::Acquire) != 2 * round {
            thread::park_timeout(Duration::from_secs(3600));
        }
        said.lock().unwrap().push_str(" ping");
        turn.fetch_add(1, Ordering::Release);
        pong.thread().unpark();
    }
    pong.join().unwrap();
    said.lock().unwrap().clone()
}

/// A pool as the Rust book has it.
struct Pool {
    jobs: Option<mpsc::Sender<Box<dyn FnOnce() + Send>>>,
    workers: Vec<Option<JoinHandle<()>>>,
}

impl Pool {
    fn new(size: usize) -> Pool {
        let (jobs, theirs) = mpsc::channel::<Box<dyn FnOnce() + Send>>();
        let theirs: Arc<Mutex<Receiver<_>>> = Arc::new(Mutex::new(theirs));
        let worker = |number| {
            let theirs = theirs.clone();
            let work = move || {
                loop {
                    let job = theirs.lock().unwrap().recv();
                    match job {
                        Ok(job) => job(),
                        Err(_) => return,
                    }
                }
            };
            let builder = Builder::new().name(format!("worker {number}")).stack_size(64 * 1024);
            Some(builder.spawn(work).unwrap())
        };
        Pool { jobs: Some(jobs), workers: (0..size).map(worker).collect() }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        drop(self.jobs.take());
        self.workers.iter_mut().for_each(|worker| worker.take().unwrap().join().unwrap());
    }
}

fn pool_of_workers() -> String {
    let done = Arc::new(Mutex::new(vec![0; 20]));
    let pool = Pool::new(3);
    for job in 0..20 {
        let done = done.clone();
        let work = move || {
            assert!(thread::current().name().unwrap().starts_with("worker "));
            done.lock().unwrap()[job] = job * job;
        };
        pool.jobs.as_ref().unwrap().send(Box::new(work)).unwrap();
    }
    drop(pool);
    let done = done.lock().unwrap();
    format!("{done:?}")
}

fn errors_and_panics() -> String {
    let parse = |text: &'static str| thread::spawn(move || text.parse::<u32>());
    let results: Vec<thread::Result<_>> = vec![parse("7").join(), parse("seven").join()];
    let panicked = thread::spawn(|| -> u32 { panic!("in {:?}", thread::current().name()) }).join();
    let words = panicked.unwrap_err().downcast::<String>().unwrap();

    let lock = Arc::new(Mutex::new(5));
    let theirs = lock.clone();
    let poisons = thread::spawn(move || {
        let _guard = theirs.lock().unwrap();
        assert!(thread::panicking(), "on purpose");
    });
    let payload = poisons.join().unwrap_err();
    let static_words = payload.downcast_ref::<&str>().copied();
    format!("{results:?}, {words}, {static_words:?}, {}", lock.is_poisoned())
}

thread_local! {
    static DEPTH: Cell<u32> = const { Cell::new(0) };
    static NOTES: RefCell<Notes> = const { RefCell::new(Notes(None, Vec::new())) };
}

struct Notes(Option<mpsc::Sender<String>>, Vec<u32>);

impl Drop for Notes {
    fn drop(&mut self) {
        if let Some(told) = &self.0 {
            let gone: Result<usize, AccessError> = NOTES.try_with(|notes| notes.borrow().1.len());
            told.send(format!("{:?} at depth {}, {}", self.1, DEPTH.get(), gone.is_err())).unwrap();
        }
    }
}

fn thread_locals() -> String {
    fn deeper(depth: &'static LocalKey<Cell<u32>>, to: u32) {
        if depth.get() < to {
            depth.set(depth.get() + 1);
            NOTES.with_borrow_mut(|notes| notes.1.push(depth.get()));
            thread::yield_now();
            deeper(depth, to);
        }
    }
    let (told, hears) = mpsc::channel();
    let all = (1..=3).map(|to| {
        let told = told.clone();
        thread::spawn(move || {
            NOTES.with_borrow_mut(|notes| notes.0 = Some(told));
            deeper(&DEPTH, to);
        })
    });
    all.collect::<Vec<_>>().into_iter().for_each(|one| one.join().unwrap());
    drop(told);
    let mut said: Vec<String> = hears.iter().collect();
    said.sort();
    format!("{said:?}, and here {}", DEPTH.get())
}

fn bounded_buffer() -> String {
    const ROOM: usize = 2;
    let buffer = Arc::new((Mutex::new(VecDeque::new()), Condvar::new()));
    let theirs = buffer.clone();
    let fills = thread::spawn(move || {
        for item in 0..20 {
            let mut items =
                theirs.1.wait_while(theirs.0.lock().unwrap(), |items| items.len() == ROOM).unwrap();
            items.push_back(item);
            theirs.1.notify_all();
        }
    });
    let mut taken = Vec::new();
    while taken.len() < 20 {
        let mut items = buffer.1.wait_while(buffer.0.lock().unwrap(), |items| items.is_empty()).unwrap();
        taken.extend(items.pop_front());
        buffer.1.notify_all();
    }
    fills.join().unwrap();
    format!("{taken:?}")
}

fn phases() -> String {
    let barrier = Arc::new(Barrier::new(4));
    let counts: Arc<[AtomicU32; 3]> = Arc::default();
    let all: Vec<_> = (0..4)
        .map(|_| {
            let (barrier, counts) = (barrier.clone(), counts.clone());
            thread::spawn(move || {
                let mut seen = Vec::new();
                let mut led = 0;
                for count in counts.iter() {
                    count.fetch_add(1, Ordering::Relaxed);
                    led += u32::from(barrier.wait().is_leader());
                    seen.push(count.load(Ordering::Relaxed));
                }
                (seen, led)
            })
        })
        .collect();
    let (seen, led): (Vec<_>, Vec<_>) = all.into_iter().map(|one| one.join().unwrap()).unzip();
    format!("{seen:?}, {} led", led.iter().sum::<u32>())
}

fn philosophers() -> String {
    let forks: Arc<Vec<Mutex<u32>>> = Arc::new((0..5).map(|_| Mutex::new(0)).collect());
    let all: Vec<_> = (0..5)
        .map(|seat| {
            let forks = forks.clone();
            thread::spawn(move || {
                let (first, second) = (seat.min((seat + 1) % 5), seat.max((seat + 1) % 5));
                for _ in 0..10 {
                    let mut first = forks[first].lock().unwrap();
                    thread::yield_now();
                    let mut second = forks[second].lock().unwrap();
                    *first += 1;
                    *second += 1;
                }
            })
        })
        .collect();
    all.into_iter().for_each(|one| one.join().unwrap());
    format!("{:?}", forks.iter().map(|fork| *fork.lock().unwrap()).collect::<Vec<_>>())
}

fn merge_sort() -> String {
    fn sort(mut items: Vec<u32>) -> Vec<u32> {
        if items.len() < 2 {
            return items;
        }
        let right = items.split_off(items.len() / 2);
        let (left, right) = (thread::spawn(move || sort(items)), sort(right));
        let (mut left, mut right) =
            (left.join().unwrap().into_iter().peekable(), right.into_iter().peekable());
        std::iter::from_fn(|| match (left.peek(), right.peek()) {
            (Some(l), Some(r)) if l <= r => left.next(),
            (Some(_), None) => left.next(),
            _ => right.next(),
        })
        .collect()
    }
    format!("{:?}", sort((0..40).map(|n| n * 17 % 41).collect()))
}

fn readers_and_a_writer() -> String {
    static NAMES: OnceLock<RwLock<HashMap<u32, String>>> = OnceLock::new();
    let names = || NAMES.get_or_init(|| RwLock::new(HashMap::new()));
    names().write().unwrap().clear();
    let writer = thread::spawn(move || {
        for number in 0..10 {
            names().write().unwrap().insert(number, format!("number {number}"));
            thread::sleep(Duration::from_micros(50));
        }
    });
    let reader = move |number| {
        thread::spawn(move || {
            loop {
                if let Some(name) = names().read().unwrap().get(&number) {
                    return name.clone();
                }
                thread::sleep(Duration::from_micros(100));
            }
        })
    };
    let read: Vec<_> = [9, 3, 0].map(reader).into_iter().map(|reader| reader.join().unwrap()).collect();
    writer.join().unwrap();
    format!("{read:?}")
}

fn who_is_who() -> String {
    let mut names: HashMap<ThreadId, String> = HashMap::new();
    let named = |name: &str| Builder::new().name(name.to_owned()).spawn(|| thread::current().id()).unwrap();
    let all = ["Ada", "Grace", "Barbara"].map(named);
    for handle in &all {
        names.insert(handle.thread().id(), handle.thread().name().unwrap().to_owned());
    }
    let ids = all.map(|handle| handle.join().unwrap());
    let here = names.contains_key(&thread::current().id());
    let cpus = thread::available_parallelism().is_ok();
    let unnamed = thread::spawn(|| thread::current().name().is_none()).join().unwrap();
    format!("{:?}, {here}, {cpus}, {unnamed}", ids.map(|id| names[&id].clone()))
}
