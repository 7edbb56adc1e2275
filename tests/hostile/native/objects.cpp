// Thread-locals of a C++ library: objects with destructors, and what the C++ runtime itself keeps for each
// thread: exceptions in flight and caught, `call_once`, thread ids, recursive mutexes.
#include <atomic>
#include <exception>
#include <functional>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>

using Callback = void (*)();

namespace {

std::atomic<long> made{0}, destroyed{0}, astray{0};

// Set by `ec_object_of`; what the destructors compare with. No destructor itself, so it outlives them.
thread_local long mine = -1;

struct Object {
    std::string name;
    long number = -1;
    Callback at_end = nullptr;
    Object() { made++; }
    ~Object() {
        if (at_end) at_end();
        if (number != mine || name != "object " + std::to_string(number)) astray++;
        destroyed++;
    }
};

// Two, so that the order matters: `second` is destroyed first.
thread_local Object first;
thread_local Object second;

struct AtUnwinding {
    Callback callback;
    int before = std::uncaught_exceptions();
    bool *right;
    ~AtUnwinding() {
        int during = std::uncaught_exceptions();
        callback();
        *right = during == before + 1 && std::uncaught_exceptions() == during;
    }
};

struct Failure : std::runtime_error {
    long number;
    explicit Failure(long n) : std::runtime_error("failure " + std::to_string(n)), number(n) {}
    bool is(long n) const { return number == n && what() == "failure " + std::to_string(n); }
};

} // namespace

extern "C" {

// Makes this thread's objects. `at_end` is called by the destructor of the one that is destroyed first.
void ec_object_make(long number, Callback at_end) {
    mine = number;
    first.number = second.number = number;
    first.name = second.name = "object " + std::to_string(number);
    second.at_end = at_end;
}

bool ec_object_is(long number) {
    return mine == number && first.number == number && second.name == "object " + std::to_string(number);
}

long ec_objects_made() { return made; }
long ec_objects_destroyed() { return destroyed; }
long ec_objects_astray() { return astray; }

// Throws after a callback, and catches.
bool ec_throw_after(Callback callback, long number) {
    try {
        callback();
        throw Failure(number);
    } catch (const Failure &failure) {
        return failure.is(number);
    }
}

// The callback is called while an exception unwinds.
bool ec_unwind_over(Callback callback, long number) {
    bool right = false;
    try {
        AtUnwinding guard{callback, std::uncaught_exceptions(), &right};
        throw Failure(number);
    } catch (const Failure &failure) {
        return right && failure.is(number) && std::uncaught_exceptions() == 0;
    }
}

// The callback is called inside catch clauses, which then throw again, by the C++ runtime's stack of the caught.
bool ec_rethrow_after(Callback callback, long number) {
    try {
        try {
            throw Failure(number);
        } catch (...) {
            callback();
            try {
                throw Failure(number + 1);
            } catch (...) {
                callback();
                try {
                    throw;
                } catch (const Failure &inner) {
                    if (!inner.is(number + 1)) return false;
                }
            }
            std::exception_ptr held = std::current_exception();
            callback();
            if (held != std::current_exception()) return false;
            throw;
        }
    } catch (const Failure &outer) {
        return outer.is(number) && std::uncaught_exceptions() == 0;
    }
}

// `call_once` whose function suspends: the first time it throws, the second time it does not.
bool ec_call_once(Callback callback) {
    std::once_flag flag;
    int runs = 0, failures = 0;
    for (int i = 0; i < 4; i++) {
        try {
            std::call_once(flag, [&] {
                callback();
                if (++runs == 1) throw Failure(1);
            });
        } catch (const Failure &) {
            failures++;
        }
        callback();
    }
    return runs == 2 && failures == 1;
}

unsigned long ec_this_thread_id() { return std::hash<std::thread::id>{}(std::this_thread::get_id()); }

// A thread of its own, made and joined by the library.
bool ec_thread_in_between(long number) {
    bool fresh = false;
    std::thread other([&] { fresh = mine == -1; ec_object_make(number + 1, nullptr); });
    other.join();
    return fresh && ec_object_is(number);
}

std::recursive_mutex *ec_recursive_new() { return new std::recursive_mutex; }
bool ec_recursive_try_lock(std::recursive_mutex *mutex) { return mutex->try_lock(); }
void ec_recursive_unlock(std::recursive_mutex *mutex) { mutex->unlock(); }

} // extern "C"
