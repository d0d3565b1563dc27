package door

import (
	"io"
	"log"
	"log/slog"
	"net/http"
	"strings"
	"time"
)

// ServerConfig bounds what a listener's clients can make a server hold.
type ServerConfig struct {
	Handler http.Handler
	// HeaderBytes is the most of a request's head: 32 KiB unless set; more is 431.
	HeaderBytes int
	// HeaderTimeout is how long a head may take, 5 s unless set; BodyTimeout how
	// long a whole request may, which is not bounded unless set, since bodies stream.
	HeaderTimeout, BodyTimeout time.Duration
	// IdleTimeout is how long a connection may be idle: 60 s unless set.
	IdleTimeout time.Duration
	// Streams is the most requests at a time on one HTTP/2 connection: 250 unless set.
	Streams int
	Log     *slog.Logger
}

// Server makes an HTTP server with those bounds. Its listener has bounds of its
// own: Bounded.
func Server(c ServerConfig) *http.Server {
	return &http.Server{
		Handler: c.Handler,
		// net/http reads 4 KiB more than it is told to.
		MaxHeaderBytes:    or(c.HeaderBytes, 32<<10) - 4<<10,
		ReadHeaderTimeout: or(c.HeaderTimeout, 5*time.Second),
		ReadTimeout:       c.BodyTimeout,
		IdleTimeout:       or(c.IdleTimeout, time.Minute),
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: or(c.Streams, 250)},
		ErrorLog:          serverLog(c.Log),
		// "OPTIONS *" is judged like everything else.
		DisableGeneralOptionsHandler: true,
	}
}

func or[T int | time.Duration](v, unless T) T {
	if v > 0 {
		return v
	}
	return unless
}

// serverLog passes on what net/http logs, but for failures of clients, which
// anyone can cause as often as they like.
func serverLog(to *slog.Logger) *log.Logger {
	if to == nil {
		return log.New(io.Discard, "", 0)
	}
	return log.New(logWriter{to}, "", 0)
}

type logWriter struct{ to *slog.Logger }

func (l logWriter) Write(b []byte) (int, error) {
	text := strings.TrimSpace(string(b))
	if strings.HasPrefix(text, "http: TLS handshake error") || strings.HasPrefix(text, "http2:") {
		l.to.Debug("http server", "text", text)
	} else {
		l.to.Warn("http server", "text", text)
	}
	return len(b), nil
}
