package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/url"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// request is an HTTP/1.1 request as bytes, with %HOST% for the host.
type request []byte

func (r request) to(host string) []byte { return bytes.ReplaceAll(r, []byte("%HOST%"), []byte(host)) }

func verifyRequest(i info) request {
	body := `{"secret":"` + i.Secret + `","method":"GET","path":"/things/42","remoteIp":"203.0.113.7"}`
	return request("POST /v1/verify HTTP/1.1\r\nHost: %HOST%\r\nContent-Type: application/json\r\nContent-Length: " +
		strconv.Itoa(len(body)) + "\r\n\r\n" + body)
}

func gatewayRequest(i info) request {
	return request("GET /things/42?limit=10 HTTP/1.1\r\nHost: %HOST%\r\nAuthorization: Bearer " + i.Secret +
		"\r\nUser-Agent: bench\r\nAccept: application/json\r\n\r\n")
}

// load calls a server over connections that stay open, each as fast as it is
// answered, and gives how many calls were answered with 200 and in what time.
func load(target string, req request, conns int, span time.Duration) (int64, time.Duration, error) {
	u, err := url.Parse(target)
	if err != nil {
		return 0, 0, err
	}
	raw := req.to(u.Host)
	var done atomic.Int64
	var stop atomic.Bool
	errs := make(chan error, conns)
	var wg sync.WaitGroup
	start := time.Now()
	for range conns {
		wg.Go(func() {
			c, err := net.Dial("tcp", u.Host)
			if err != nil {
				errs <- err
				return
			}
			defer c.Close()
			in := bufio.NewReaderSize(c, 8<<10)
			for !stop.Load() {
				if _, err := c.Write(raw); err != nil {
					errs <- err
					return
				}
				if err := answer(in); err != nil {
					errs <- err
					return
				}
				done.Add(1)
			}
		})
	}
	time.Sleep(span) // the load is what is measured, for that long
	stop.Store(true)
	wg.Wait()
	took := time.Since(start)
	select {
	case err := <-errs:
		return 0, 0, err
	default:
	}
	return done.Load(), took, nil
}

// answer reads one answer, which must be a 200 with a length or in chunks.
func answer(in *bufio.Reader) error {
	line, err := in.ReadSlice('\n')
	if err != nil {
		return err
	}
	if !bytes.HasPrefix(line, []byte("HTTP/1.1 200 ")) {
		return fmt.Errorf("answered %q", line)
	}
	length := int64(-1)
	for {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return err
		}
		if len(line) == 2 {
			break
		}
		if v, ok := bytes.CutPrefix(line, []byte("Content-Length: ")); ok {
			if length, err = strconv.ParseInt(string(bytes.TrimSpace(v)), 10, 64); err != nil {
				return err
			}
		}
	}
	if length >= 0 {
		_, err = io.CopyN(io.Discard, in, length)
		return err
	}
	for {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return err
		}
		n, err := strconv.ParseInt(string(bytes.TrimSpace(line)), 16, 64)
		if err != nil {
			return err
		}
		if _, err := io.CopyN(io.Discard, in, n+2); err != nil {
			return err
		}
		if n == 0 {
			return nil
		}
	}
}
