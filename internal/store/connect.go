package store

import (
	"context"
	"database/sql"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

// oldestPostgres is the first version of PostgreSQL that Postern works with.
const oldestPostgres = 15

// connection reads a database URL. Another machine is talked to by TLS whose
// certificate is checked, unless the URL says otherwise.
func connection(target string) (pc *pgxpool.Config, assumed bool, err error) {
	if pc, err = pgxpool.ParseConfig(target); err != nil {
		return nil, false, fmt.Errorf("store: the database URL: %w", err)
	}
	mode, err := tlsMode(target)
	if err != nil {
		return nil, false, err
	}
	far := farHosts(pc)
	if len(far) == 0 {
		finish(pc)
		return pc, false, nil
	}
	switch mode {
	case "":
		u, err := url.Parse(target)
		if err != nil {
			return nil, false, fmt.Errorf("store: the database URL: %w", err)
		}
		q := u.Query()
		q.Set("sslmode", "verify-full")
		u.RawQuery = q.Encode()
		if pc, err = pgxpool.ParseConfig(u.String()); err != nil {
			return nil, false, fmt.Errorf("store: the database URL: %w", err)
		}
		assumed = true
	case "allow", "prefer":
		return nil, false, fmt.Errorf("store: the database URL says sslmode=%s, which goes without TLS where %s doesn't offer it. Write sslmode=verify-full, or sslmode=disable for a network that you trust", mode, far[0])
	}
	finish(pc)
	return pc, assumed, nil
}

// tlsMode is what a URL or the environment says of TLS; empty: nothing.
func tlsMode(target string) (string, error) {
	u, err := url.Parse(target)
	if err != nil {
		return "", fmt.Errorf("store: the database URL: it is no URL of the form postgres://user@host/database")
	}
	if mode := u.Query().Get("sslmode"); mode != "" {
		return mode, nil
	}
	return os.Getenv("PGSSLMODE"), nil
}

// farHosts are the hosts that aren't this machine.
func farHosts(pc *pgxpool.Config) (out []string) {
	hosts := []string{pc.ConnConfig.Host}
	for _, f := range pc.ConnConfig.Fallbacks {
		hosts = append(hosts, f.Host)
	}
	for _, h := range hosts {
		ip := net.ParseIP(strings.Trim(h, "[]"))
		if h != "localhost" && !strings.HasPrefix(h, "/") && !strings.HasPrefix(h, "@") && (ip == nil || !ip.IsLoopback()) {
			out = append(out, h)
		}
	}
	return out
}

// finish sets what every connection has, unless the URL says otherwise.
func finish(pc *pgxpool.Config) {
	set := func(k, v string) {
		if _, ok := pc.ConnConfig.RuntimeParams[k]; !ok {
			pc.ConnConfig.RuntimeParams[k] = v
		}
	}
	set("statement_timeout", "15000")
	set("lock_timeout", "5000")
	// Shorter than the others wait for a lock: a node that stands still in a change holds the feed's counter, and
	// with it everybody's revocations.
	set("idle_in_transaction_session_timeout", "4000")
	set("timezone", "UTC")
	set("application_name", "postern")
	new(fence).guard(pc)
	pc.ConnConfig.OnNotice = noteUnreplicated
	if pc.ConnConfig.ConnectTimeout == 0 || pc.ConnConfig.ConnectTimeout == 2*time.Minute {
		pc.ConnConfig.ConnectTimeout = 5 * time.Second // the next server of the list, or the next try, is due then
	}
}

// reached says what is wrong where the server can't be reached.
func reached(err error, assumed bool) error {
	if err == nil {
		return nil
	}
	if text := err.Error(); assumed && (strings.Contains(text, "tls") || strings.Contains(text, "TLS") || strings.Contains(text, "x509")) {
		return fmt.Errorf("store: reach PostgreSQL: %w. Another machine is talked to by TLS whose certificate is checked: give the certificate of its authority with sslrootcert=FILE in the database URL, or write sslmode=disable there for a network that you trust", err)
	}
	return fmt.Errorf("store: reach PostgreSQL: %w", err)
}

// checkVersion refuses a server that is too old.
func checkVersion(ctx context.Context, db *sql.DB) error {
	var n int
	if err := db.QueryRowContext(ctx, "select cast(current_setting('server_version_num') as integer)").Scan(&n); err != nil {
		return fmt.Errorf("store: ask PostgreSQL for its version: %w", err)
	}
	if n < oldestPostgres*10000 {
		return fmt.Errorf("store: this is PostgreSQL %d.%d; Postern needs %d or newer", n/10000, n%10000, oldestPostgres)
	}
	return nil
}
