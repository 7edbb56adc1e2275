// What goroutines cost in memory, and what this process uses.
package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// memory is a look at the process, its page tables and the kernel's own, in bytes.
type memory struct{ rss, tables, kernel float64 }

func field(path, name string) float64 {
	text, err := os.ReadFile(path)
	if err != nil {
		panic(err)
	}
	for _, line := range strings.Split(string(text), "\n") {
		if words := strings.Fields(line); len(words) > 1 && words[0] == name {
			n, err := strconv.ParseFloat(words[1], 64)
			if err != nil {
				panic(err)
			}
			return n * 1024
		}
	}
	panic(name)
}

func look() memory {
	return memory{
		field("/proc/self/status", "VmRSS:"),
		field("/proc/self/status", "VmPTE:"),
		field("/proc/meminfo", "Slab:") + field("/proc/meminfo", "KernelStack:"),
	}
}

func (m memory) grownPer(n int) float64 {
	now := look()
	return (now.rss + now.tables - m.rss - m.tables) / float64(n)
}

func cpu() float64 {
	var u syscall.Rusage
	syscall.Getrusage(0, &u)
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}

func idle() {
	n := num("n", 100000)
	before, t := look(), time.Now()
	var up atomic.Int64
	for i := 0; i < n; i++ {
		go func() {
			up.Add(1)
			time.Sleep(1000 * time.Second)
		}()
	}
	for int(up.Load()) < n {
		time.Sleep(time.Millisecond)
	}
	s := time.Since(t).Seconds()
	time.Sleep(300 * time.Millisecond)
	now, each := look(), float64(n)
	fmt.Printf("{\"bytes\":%f,\"pte_bytes\":%f,\"kernel_bytes\":%f,\"s\":%f}\n", (now.rss-before.rss)/each,
		(now.tables-before.tables)/each, (now.kernel-before.kernel)/each, s)
}

// descend calls itself with about 1 KiB of the stack in each frame.
//
//go:noinline
func descend(levels int, bottom func()) byte {
	var frame [960]byte
	fill(&frame, byte(levels))
	if levels > 0 {
		descend(levels-1, bottom)
	} else {
		bottom()
	}
	return frame[levels%960]
}

//go:noinline
func fill(frame *[960]byte, with byte) {
	for i := range frame {
		frame[i] = with
	}
}

func deep() {
	n, depth := num("n", 10000), num("depth", 65536)
	before, t := look(), time.Now()
	var up atomic.Int64
	var wg sync.WaitGroup
	bells := make([]chan bool, n)
	wg.Add(n)
	for i := range bells {
		bell := make(chan bool, 1)
		bells[i] = bell
		go func() {
			descend(depth/1024, func() {
				up.Add(1)
				<-bell
			})
			wg.Done()
		}()
	}
	for int(up.Load()) < n {
		time.Sleep(time.Millisecond)
	}
	s, peak := time.Since(t).Seconds(), before.grownPer(n)
	for _, bell := range bells {
		bell <- true
	}
	wg.Wait()
	bells = nil
	time.Sleep(3 * time.Second)
	fmt.Printf("{\"peak_bytes\":%f,\"after_bytes\":%f,\"s\":%f}\n", peak, before.grownPer(n), s)
}
