// Code that blocks its thread in goroutines: sleeps, a lock, files.
package main

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"sort"
	"sync"
	"syscall"
	"time"
)

func nanosleep(d time.Duration) {
	ts := syscall.NsecToTimespec(int64(d))
	syscall.Nanosleep(&ts, nil)
}

// oneConnection asks the program load what one connection gets.
func oneConnection(how string, port, secs int, more ...string) map[string]float64 {
	self, _ := os.Executable()
	load := filepath.Join(filepath.Dir(self), "load")
	words := append([]string{how, fmt.Sprint("port=", port), "conns=1", fmt.Sprint("secs=", secs)}, more...)
	o, err := exec.Command(load, words...).Output()
	r := map[string]float64{}
	if err == nil {
		err = json.Unmarshal(o, &r)
	}
	if err != nil {
		panic(err)
	}
	return r
}

// hogs: four times as many goroutines as workers compute for two seconds each.
func hogs() {
	l := listen()
	go serve(l, echo(16384))
	go func() {
		time.Sleep(450 * time.Millisecond)
		for i := 0; i < 4*num("workers", 2); i++ {
			go func() {
				for end := time.Now().Add(2 * time.Second); time.Now().Before(end); {
				}
			}()
		}
	}()
	time.Sleep(300 * time.Millisecond)
	r := oneConnection("open", port(l), num("secs", 2), "rate=1000")
	threads, _ := os.ReadDir("/proc/self/task")
	fmt.Printf("{\"p99_us\":%f,\"p50_us\":%f,\"max_us\":%f,\"threads\":%d}\n",
		r["p99_us"], r["p50_us"], r["max_us"], len(threads))
	os.Exit(0)
}

func block() {
	secs, tasks := num("secs", 4), num("tasks", 64)
	l := listen()
	go serve(l, echo(16384))
	var mu sync.Mutex
	var lates []float64
	began := time.Now()
	go func() {
		for {
			t := time.Now()
			time.Sleep(time.Millisecond)
			mu.Lock()
			lates = append(lates, float64((time.Since(t) - time.Millisecond).Microseconds()))
			mu.Unlock()
		}
	}()
	time.Sleep(200 * time.Millisecond)
	for i := 0; i < tasks; i++ {
		go func() {
			for {
				nanosleep(50 * time.Millisecond)
				runtime.Gosched()
			}
		}()
	}
	time.Sleep(100 * time.Millisecond)
	rate := oneConnection("echo", port(l), secs)["msgs_s"]
	mu.Lock()
	sort.Float64s(lates)
	at := func(q float64) float64 { return lates[int(float64(len(lates)-1)*q)] }
	threads, _ := os.ReadDir("/proc/self/task")
	late := 0
	for _, us := range lates {
		if us > 5000 {
			late++
		}
	}
	fmt.Printf("{\"ticks_s\":%f,\"late_p50_us\":%f,\"late_p99_us\":%f,\"late_p999_us\":%f,\"late_max_us\":%f,\"late_5ms\":%f,\"echo_rtt_s\":%f,\"threads\":%d}\n",
		float64(len(lates))/time.Since(began).Seconds(), at(.5), at(.99), at(.999), at(1),
		float64(late)/float64(len(lates))*1e5, rate, len(threads))
	os.Exit(0)
}

// mutex has hand=0: sync.Mutex; hand=1: a lock the runtime does not know, a token in a blocking pipe.
func mutex() {
	debug.SetMaxThreads(10000)
	time.AfterFunc(3*time.Second, func() {
		fmt.Println("{\"finished\":0,\"ms\":3000}")
		os.Exit(0)
	})
	var mu sync.Mutex
	var p [2]int
	syscall.Pipe(p[:])
	lock, unlock := mu.Lock, mu.Unlock
	if num("hand", 0) == 1 {
		lock = func() {
			var b [1]byte
			syscall.Read(p[0], b[:])
		}
		unlock = func() { syscall.Write(p[1], []byte{1}) }
	} else {
		lock()
	}
	var wg sync.WaitGroup
	wg.Add(9)
	t, l := time.Now(), listen()
	go func() {
		time.Sleep(200 * time.Millisecond)
		net.Dial("tcp4", l.Addr().String())
	}()
	go func() {
		if num("io", 0) == 1 {
			l.Accept()
		} else {
			time.Sleep(200 * time.Millisecond)
		}
		unlock()
		wg.Done()
	}()
	for i := 0; i < 8; i++ {
		go func() {
			lock()
			unlock()
			wg.Done()
		}()
	}
	wg.Wait()
	fmt.Printf("{\"finished\":1,\"ms\":%f}\n", ns(t)/1e6)
}

func file() {
	path := args["path"]
	st, err := os.Stat(path)
	if err != nil {
		na("no file to read")
	}
	n, tasks, pages := num("n", 100000), num("tasks", 64), uint64(st.Size()/4096)
	var wg sync.WaitGroup
	t := time.Now()
	wg.Add(tasks)
	for i := 0; i < tasks; i++ {
		go func() {
			f, err := os.Open(path)
			if err != nil {
				panic(err)
			}
			r, b := newRng(uint64(i)), make([]byte, 4096)
			for j := 0; j < n/tasks; j++ {
				if _, err := f.ReadAt(b, int64(r.below(pages)*4096)); err != nil {
					panic(err)
				}
			}
			wg.Done()
		}()
	}
	wg.Wait()
	fmt.Printf("{\"reads_s\":%f}\n", float64(n)/ns(t)*1e9)
}
