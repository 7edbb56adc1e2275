// Goroutines that only switch, start, end and wake one another.
package main

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// crowd is many goroutines that are called together, each by a channel of its own, and run.
type crowd struct {
	bells []chan int
	done  chan bool
}

// newCrowd starts n goroutines that do the work with each number they are called with.
func newCrowd(n int, work func(int)) crowd {
	c := crowd{make([]chan int, n), make(chan bool, 1)}
	var ran atomic.Int64
	for i := range c.bells {
		bell := make(chan int, 1)
		c.bells[i] = bell
		go func() {
			for number := range bell {
				work(number)
				if ran.Add(1)%int64(n) == 0 {
					c.done <- true
				}
			}
		}()
	}
	return c
}

// call calls all, and says how long it took until the last has run.
func (c crowd) call(number int) time.Duration {
	t := time.Now()
	for _, bell := range c.bells {
		bell <- number
	}
	<-c.done
	return time.Since(t)
}

// switching is a round in which all are woken and yield, less one in which they are only woken: the mean
// of one before and one after.
func switching(workers int) {
	n, tasks := num("n", 500000), num("tasks", 2*workers)
	c := newCrowd(tasks, func(n int) {
		for i := 0; i < n; i++ {
			runtime.Gosched()
		}
	})
	c.call(0)
	before := c.call(0)
	spent := c.call(n)
	woken := (before + c.call(0)) / 2
	spent = max(spent-woken, 0)
	fmt.Printf("{\"ns\":%f}\n", float64(spent)/float64(n*tasks))
}

func spawn() {
	n := num("n", 1000000)
	var wg sync.WaitGroup
	t := time.Now()
	for i := 0; i < n/1000; i++ {
		wg.Add(1000)
		for j := 0; j < 1000; j++ {
			go wg.Done()
		}
		wg.Wait()
	}
	fmt.Printf("{\"ns\":%f}\n", ns(t)/float64(n))
}

func pingpong() {
	n := num("n", 200000)
	a, b, done := make(chan int), make(chan int), make(chan bool)
	t := time.Now()
	go func() {
		for v := range a {
			b <- v
		}
	}()
	go func() {
		for i := 0; i < n; i++ {
			a <- i
			if <-b != i {
				panic("another number")
			}
		}
		close(done)
	}()
	<-done
	fmt.Printf("{\"ns\":%f}\n", ns(t)/float64(n))
}

func tree(c chan<- uint64, n, size uint64) {
	if size == 1 {
		c <- n
		return
	}
	rc, sum := make(chan uint64), uint64(0)
	for i := uint64(0); i < 10; i++ {
		go tree(rc, n+i*size/10, size/10)
	}
	for i := 0; i < 10; i++ {
		sum += <-rc
	}
	c <- sum
}

func skynet() {
	t, c := time.Now(), make(chan uint64)
	go tree(c, 0, 1000000)
	if <-c != 499999500000 {
		panic("sum")
	}
	fmt.Printf("{\"ms\":%f}\n", ns(t)/1e6)
}

func wake() {
	tasks := num("tasks", 1000)
	c := newCrowd(tasks, func(int) {})
	c.call(0)
	spent, woken := time.Duration(0), 0
	for woken == 0 || spent < time.Second && woken < 1000000 {
		spent += c.call(0)
		woken += tasks
	}
	fmt.Printf("{\"ns\":%f}\n", float64(spent)/float64(woken))
}

func timers() {
	n, r := num("n", 1000000), newRng(7)
	var late, worst atomic.Int64
	var wg sync.WaitGroup
	t, c := time.Now(), cpu()
	wg.Add(n)
	for i := 0; i < n; i++ {
		d := time.Duration(r.below(2000000)) * time.Microsecond
		go func() {
			t := time.Now()
			time.Sleep(d)
			by := int64((time.Since(t) - d) / time.Microsecond)
			late.Add(by)
			for w := worst.Load(); by > w && !worst.CompareAndSwap(w, by); w = worst.Load() {
			}
			wg.Done()
		}()
	}
	wg.Wait()
	fmt.Printf("{\"over_ms\":%f,\"cpu_s\":%f,\"late_mean_us\":%f,\"late_max_us\":%d}\n",
		ns(t)/1e6-2000, cpu()-c, float64(late.Load())/float64(n), worst.Load())
}
