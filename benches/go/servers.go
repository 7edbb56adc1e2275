// Servers: they print their port and serve until they are killed.
package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
)

const response = "HTTP/1.1 200 OK\r\nServer: rig\r\nContent-Type: text/plain\r\nContent-Length: 13\r\n\r\nHello, World!"

// rawHTTP finds the ends of requests only; it parses no header.
func rawHTTP(c net.Conn) {
	buf, n := make([]byte, 16384), 0
	var out []byte
	for {
		k, err := c.Read(buf[n:])
		if err != nil {
			return
		}
		n += k
		out = out[:0]
		s := buf[:n]
		for {
			i := bytes.Index(s, []byte("\r\n\r\n"))
			if i < 0 {
				break
			}
			s = s[i+4:]
			out = append(out, response...)
		}
		n = copy(buf, s)
		if _, err := c.Write(out); err != nil {
			return
		}
	}
}

func echo(size int) func(net.Conn) {
	return func(c net.Conn) {
		buf := make([]byte, size)
		for {
			n, err := c.Read(buf)
			if err != nil {
				return
			}
			if _, err := c.Write(buf[:n]); err != nil {
				return
			}
		}
	}
}

func listen() net.Listener {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	return l
}

func port(l net.Listener) int { return l.Addr().(*net.TCPAddr).Port }

// serve has a goroutine for each connection. Go sets TCP_NODELAY by itself.
func serve(l net.Listener, f func(net.Conn)) {
	for {
		c, err := l.Accept()
		if err != nil {
			panic(err)
		}
		go func() {
			f(c)
			c.Close()
		}()
	}
}

func serveEcho() {
	l := listen()
	fmt.Printf("{\"port\":%d}\n", port(l))
	serve(l, echo(num("buf", 16384)))
}

// serveHTTP is net/http's server; with hand=1, the least there can be.
func serveHTTP() {
	l := listen()
	fmt.Printf("{\"port\":%d}\n", port(l))
	if num("hand", 0) == 1 {
		serve(l, rawHTTP)
	}
	http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		io.WriteString(w, "Hello, World!")
	}))
}

// serveUDP has one socket, and a goroutine for each worker.
func serveUDP(workers int) {
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		panic(err)
	}
	fmt.Printf("{\"port\":%d}\n", c.LocalAddr().(*net.UDPAddr).Port)
	for i := 0; i < workers; i++ {
		go func() {
			buf := make([]byte, 2048)
			for {
				n, from, err := c.ReadFromUDPAddrPort(buf)
				if err != nil {
					panic(err)
				}
				if _, err := c.WriteToUDPAddrPort(buf[:n], from); err != nil {
					panic(err)
				}
			}
		}()
	}
	select {}
}
