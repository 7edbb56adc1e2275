// Goroutines that wait for one another: locks, channels, tokens, a chat.
package main

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

var sink atomic.Uint64

// work computes a little, as common::work.
func work(steps int) {
	word := sink.Load() | 0x9E3779B97F4A7C15
	for range steps {
		word ^= word << 13
		word ^= word >> 7
		word ^= word << 17
	}
	if word == 0 {
		sink.Store(1)
	}
}

func uncontended() {
	n := num("n", 20000000)
	var mu sync.Mutex
	value := 0
	t := time.Now()
	for range n {
		mu.Lock()
		value++
		mu.Unlock()
	}
	fmt.Printf("{\"ns\":%f}\n", ns(t)/float64(value))
}

func contended() {
	tasks := num("tasks", 8)
	each, inside, outside := num("n", 1000000)/tasks, num("inside", 20), num("outside", 20)
	var mu sync.Mutex
	var wg sync.WaitGroup
	value := 0
	t := time.Now()
	for range tasks {
		wg.Go(func() {
			for range each {
				mu.Lock()
				value++
				work(inside)
				mu.Unlock()
				work(outside)
			}
		})
	}
	wg.Wait()
	fmt.Printf("{\"ns\":%f}\n", ns(t)/float64(value))
}

// token is given there and back, over channels of one place.
func token() {
	n := num("n", 400000)
	a, b := make(chan struct{}, 1), make(chan struct{}, 1)
	var wg sync.WaitGroup
	t := time.Now()
	wg.Go(func() {
		for range n {
			<-a
			b <- struct{}{}
		}
	})
	wg.Go(func() {
		for range n {
			a <- struct{}{}
			<-b
		}
	})
	wg.Wait()
	fmt.Printf("{\"ns\":%f}\n", ns(t)/float64(n))
}

// flow sends all numbers through. Without a bound the channel has room for all: there is no other way here.
func flow() {
	senders, receivers, capacity := num("senders", 1), num("receivers", 1), num("capacity", 0)
	each := num("n", 1000000) / senders
	if capacity == 0 {
		capacity = each * senders
	}
	c := make(chan uint64, capacity)
	var putting, getting sync.WaitGroup
	var count, sum atomic.Uint64
	t := time.Now()
	for range receivers {
		getting.Go(func() {
			n, s := uint64(0), uint64(0)
			for v := range c {
				n, s = n+1, s+v
			}
			count.Add(n)
			sum.Add(s)
		})
	}
	for range senders {
		putting.Go(func() {
			for i := range each {
				c <- uint64(i)
			}
		})
	}
	putting.Wait()
	close(c)
	getting.Wait()
	spent := ns(t)
	if n := uint64(each); count.Load() != n*uint64(senders) || sum.Load() != uint64(senders)*(n*(n-1)/2) {
		panic("each comes once")
	}
	fmt.Printf("{\"ns\":%f}\n", spent/float64(each*senders))
}

// fair is what the goroutine with the least gets of one thing that 64 want for a second.
func fair() {
	tasks, secs := num("tasks", 64), 1.0
	if s, ok := args["secs"]; ok {
		fmt.Sscan(s, &secs)
	}
	c := make(chan uint64, num("capacity", 8))
	var over atomic.Bool
	time.AfterFunc(time.Duration(secs*1e9), func() { over.Store(true) })
	counts := make([]uint64, tasks)
	var mu sync.Mutex
	var wg, other sync.WaitGroup
	each := func(f func(count *uint64)) {
		for i := range counts {
			wg.Go(func() {
				count := uint64(0)
				f(&count)
				counts[i] = count
			})
		}
	}
	switch of := args["of"]; of {
	case "lock", "held":
		each(func(count *uint64) {
			for !over.Load() {
				mu.Lock()
				*count++
				work(20)
				if of == "held" {
					runtime.Gosched()
				}
				mu.Unlock()
				work(20)
			}
		})
	case "send":
		other.Go(func() {
			for range c {
			}
		})
		each(func(count *uint64) {
			for !over.Load() {
				c <- *count
				*count++
			}
		})
	case "recv":
		each(func(count *uint64) {
			for range c {
				*count++
			}
		})
		for !over.Load() {
			c <- 1
		}
		close(c)
	}
	wg.Wait()
	if args["of"] == "send" {
		close(c)
		other.Wait()
	}
	all, least, most := uint64(0), counts[0], counts[0]
	for _, n := range counts {
		all, least, most = all+n, min(least, n), max(most, n)
	}
	even := float64(all) / float64(tasks)
	fmt.Printf("{\"share\":%f,\"most\":%f,\"ops_s\":%f}\n", float64(least)/even, float64(most)/even, float64(all)/secs)
	os.Exit(0)
}

// chat has for each connection a goroutine that reads and one that writes what is in its queue, which has a thousand places.
func chat() {
	type member struct{ queue chan []byte }
	l := listen()
	fmt.Printf("{\"port\":%d}\n", port(l))
	var mu sync.Mutex
	rooms := map[string]map[*member]bool{}
	serve(l, func(c net.Conn) {
		me := &member{make(chan []byte, 1000)}
		go func() {
			for line := range me.queue {
				if _, err := c.Write(line); err != nil {
					for range me.queue {
					}
				}
			}
		}()
		lines := bufio.NewReader(c)
		room, err := lines.ReadString('\n')
		mu.Lock()
		if rooms[room] == nil {
			rooms[room] = map[*member]bool{}
		}
		rooms[room][me] = true
		mu.Unlock()
		for err == nil {
			var line []byte
			if line, err = lines.ReadBytes('\n'); err != nil {
				break
			}
			mu.Lock()
			for other := range rooms[room] {
				other.queue <- line
			}
			mu.Unlock()
		}
		mu.Lock()
		delete(rooms[room], me)
		mu.Unlock()
		close(me.queue)
	})
}
