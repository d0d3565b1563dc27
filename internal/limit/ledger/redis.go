package ledger

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"postern.dev/postern"
)

// Prefix is what the names of all keys in Redis begin with. A key ID follows.
const Prefix = "postern:limit:"

//go:embed gcra.lua
var source string

var script = redis.NewScript(source)

// dialTime is how long a connection may take to be made; no call waits for it that long.
const dialTime = time.Second

// Check says what is wrong with the URL of a Redis server, without the URL, which may hold a password.
func Check(text string) error {
	_, err := parse(text)
	return err
}

func parse(text string) (*redis.Options, error) {
	u, err := url.Parse(text)
	if err != nil {
		return nil, errors.New("it is no URL such as redis://host:6379 or rediss://host:6380") // the error would quote the password
	}
	if u.Scheme != "redis" && u.Scheme != "rediss" && u.Scheme != "unix" {
		return nil, errors.New("want a URL that begins with redis://, rediss:// (with TLS) or unix://")
	}
	q := u.Query()
	authority := q.Get("sslrootcert")
	q.Del("sslrootcert")
	db := q.Get("db")
	if u.Scheme == "unix" {
		q.Del("db")
	}
	for name := range q {
		return nil, fmt.Errorf("the URL takes no %q; after the question mark only sslrootcert=FILE may stand", name)
	}
	u.RawQuery = ""
	if db != "" {
		u.RawQuery = "db=" + url.QueryEscape(db)
	}
	if u.Scheme != "unix" && u.Hostname() == "" {
		return nil, errors.New("the URL names no host")
	}
	o, err := redis.ParseURL(u.String())
	if err != nil {
		return nil, errors.New("want a URL such as redis://host:6379/0: after the host only the number of a database may stand")
	}
	if authority != "" {
		if o.TLSConfig == nil {
			return nil, errors.New("sslrootcert goes with rediss://")
		}
		if o.TLSConfig.RootCAs, err = roots(authority); err != nil {
			return nil, err
		}
	}
	o.Protocol, o.DisableIdentity = 2, true
	o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	o.MaxRetries, o.DialerRetries = -1, 1 // the next call tries again
	o.DialTimeout, o.ContextTimeoutEnabled = dialTime, true
	o.PoolSize, o.MinIdleConns = 64, 2
	return o, nil
}

// roots are the certificates of a private authority.
func roots(file string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("sslrootcert: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("sslrootcert: %s holds no certificate (PEM)", file)
	}
	return pool, nil
}

// quiet keeps the client from lines of its own on standard error, one for each
// connection that fails: what is to be said, the ledger says once.
var quiet = sync.OnceFunc(func() { redis.SetLogger(silence{}) })

type silence struct{}

func (silence) Printf(context.Context, string, ...any) {}

// connect begins with new connections: those from before may be dead without anyone having been told.
func (l *Ledger) connect() {
	o := l.options
	o.ReadTimeout, o.WriteTimeout, o.PoolTimeout = l.cfg.Timeout, l.cfg.Timeout, l.cfg.Timeout
	if old := l.client.Swap(redis.NewClient(&o)); old != nil {
		old.Close()
	}
}

// errAnswer is an answer that the script can't have given.
var errAnswer = errors.New("it gives answers that make no sense")

// ask puts a question about a key, within the bound, and notes whether that worked.
func (l *Ledger) ask(key *[postern.KeyIDLen]byte, q question) (answer, error) {
	ctx, cancel := context.WithTimeout(context.Background(), l.cfg.Timeout)
	defer cancel()
	l.asked.Add(1)
	a, err := run(ctx, l.client.Load(), string(key[:]), q, l.at())
	if err != nil {
		l.askFailed.Add(1)
		l.failed(err)
		return a, err
	}
	l.failures.Store(0)
	return a, nil
}

// run runs the script. Times are nanoseconds here and microseconds there.
func run(ctx context.Context, client *redis.Client, name string, q question, at any) (a answer, err error) {
	out, err := script.Run(ctx, client, []string{Prefix + name}, q.calls, q.window/1000, q.want, q.back, q.held, at).Slice()
	if err != nil {
		return a, err
	}
	if len(out) != 3 {
		return a, errAnswer
	}
	taken, ok := out[0].(int64)
	whole, ok2 := out[1].(int64)
	held, ok3 := out[2].(string)
	if !ok || !ok2 || !ok3 || taken < 0 || taken > q.want || whole < 0 || whole > q.window/1000+1 {
		return a, errAnswer
	}
	return answer{taken, whole * 1000, held}, nil
}

// words says in a few words why Redis can't be asked.
func (l *Ledger) words(err error) string { return words(err, l.cfg.Timeout) }

func words(err error, within time.Duration) string {
	var timeout net.Error
	var cert *tls.CertificateVerificationError
	text := err.Error()
	switch {
	case errors.As(err, &cert):
		return "its certificate is not trusted: " + cert.Err.Error()
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, redis.ErrPoolTimeout), errors.As(err, &timeout) && timeout.Timeout():
		return fmt.Sprintf("it doesn't answer within %s", within)
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET):
		return "it ended the connection"
	case strings.HasPrefix(text, "WRONGPASS"), strings.Contains(text, "invalid password"):
		return "it refuses the user or the password"
	case strings.HasPrefix(text, "NOAUTH"):
		return "it wants a password"
	case strings.HasPrefix(text, "NOPERM"), strings.Contains(text, "can't run this command"):
		return "its user may not run the script: allow eval, evalsha, get, set and time on " + Prefix + "*"
	case strings.HasPrefix(text, "READONLY"):
		return "it is a replica that takes no writes"
	case strings.HasPrefix(text, "OOM"):
		return "its memory is full"
	case strings.HasPrefix(text, "LOADING"):
		return "it is still loading"
	}
	if len(text) > 200 {
		text = text[:200]
	}
	return postern.HideSecrets(text)
}
