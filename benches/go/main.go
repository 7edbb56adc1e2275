// The Go peer: the workloads of common/src/sync with goroutines.
package main

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"
)

var args = map[string]string{}

// num is the number given for a key.
func num(key string, otherwise int) int {
	v, ok := args[key]
	if !ok {
		return otherwise
	}
	n, err := strconv.Atoi(v)
	if err != nil {
		panic(err)
	}
	return n
}

// na says that this peer cannot do this, and why.
func na(why string) {
	fmt.Printf("{\"na\":%q}\n", why)
	os.Exit(0)
}

func ns(t time.Time) float64 { return float64(time.Since(t).Nanoseconds()) }

// rng is the same xorshift as common::Rng.
type rng uint64

func newRng(seed uint64) rng { return rng(seed*0x9E3779B97F4A7C15 | 1) }

func (r *rng) below(n uint64) uint64 {
	x := uint64(*r)
	x ^= x << 13
	x ^= x >> 7
	x ^= x << 17
	*r = rng(x)
	return (x >> 11) % n
}

func main() {
	for _, a := range os.Args[2:] {
		k, v, _ := strings.Cut(a, "=")
		args[k] = v
	}
	workers := num("workers", 2)
	runtime.GOMAXPROCS(workers)
	limit := 120
	if what := os.Args[1]; what == "echo" || what == "http" || what == "udp" || what == "chat" {
		limit = 600
	}
	// Nothing is left behind when the driver is killed.
	time.AfterFunc(time.Duration(num("limit", limit))*time.Second, func() { os.Exit(1) })
	switch os.Args[1] {
	case "switch":
		switching(workers)
	case "spawn":
		spawn()
	case "pingpong":
		pingpong()
	case "skynet":
		skynet()
	case "wake":
		wake()
	case "idle":
		idle()
	case "deep":
		deep()
	case "timers":
		timers()
	case "echo":
		serveEcho()
	case "http":
		serveHTTP()
	case "udp":
		serveUDP(workers)
	case "block":
		block()
	case "hogs":
		hogs()
	case "mutex":
		mutex()
	case "file":
		file()
	case "lock":
		uncontended()
	case "contended":
		contended()
	case "token":
		token()
	case "chan":
		flow()
	case "fair":
		fair()
	case "chat":
		chat()
	default:
		na("no such workload")
	}
}
